"""Reads a beancount file, demands that it has no errors, and prints each account's balances.

Usage: python beancount_balances.py FILE
Prints a line `account currency number` for each balance that is not zero.
"""

import sys
from collections import defaultdict
from decimal import Decimal

from beancount import loader
from beancount.core import data


def main(path):
    entries, errors, _ = loader.load_file(path)
    if errors:
        sys.exit("\n".join(f"{error.source.get('lineno')}: {error.message}" for error in errors))
    balances = defaultdict(Decimal)
    for entry in entries:
        if isinstance(entry, data.Transaction):
            for posting in entry.postings:
                balances[posting.account, posting.units.currency] += posting.units.number
    for (account, currency), number in sorted(balances.items()):
        if number:
            print(account, currency, number)


if __name__ == "__main__":
    main(sys.argv[1])
