"""What beancount finds in a journal: what each account moved by month of the books.

Usage: python journal_months.py FILE
Prints a line `month account currency number` for each sum that is not zero.
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
    moved = defaultdict(Decimal)
    for entry in entries:
        if isinstance(entry, data.Transaction):
            month = entry.meta["booked"].strftime("%Y-%m")
            for posting in entry.postings:
                moved[month, posting.account, posting.units.currency] += posting.units.number
    for (month, account, currency), number in sorted(moved.items()):
        if number:
            print(month, account, currency, number)


if __name__ == "__main__":
    main(sys.argv[1])
