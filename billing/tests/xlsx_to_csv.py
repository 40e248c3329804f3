"""Prints the sheets of a workbook as one CSV, its heading once.

Usage: python xlsx_to_csv.py FILE
Amounts are printed with six places, days as 2026-11-30. A formula anywhere is an error.
"""

import csv
import sys
from datetime import datetime
from decimal import Decimal

from openpyxl import load_workbook


def shown(cell):
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "f":
        sys.exit(f"{cell.coordinate} is a formula: {value}")
    if isinstance(value, datetime):
        return value.date().isoformat()
    if cell.number_format.endswith("0.000000"):
        return str(Decimal(repr(value)).quantize(Decimal("0.000001")))
    return str(value)


def main(path):
    out = csv.writer(sys.stdout, lineterminator="\n")
    heading = None
    for sheet in load_workbook(path, read_only=True):
        for row in sheet.iter_rows():
            cells = [shown(cell) for cell in row]
            if heading is None:
                heading = cells
            elif cells == heading:
                continue
            out.writerow(cells + [""] * (len(heading) - len(cells)))


if __name__ == "__main__":
    main(sys.argv[1])
