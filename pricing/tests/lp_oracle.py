"""Reads books as JSON lines from stdin, prints the LP optimum of each as a line of JSON.

The market as one linear programme, solved by HiGHS (PyPI highspy):
maximise value of lanes filled less reserves of lanes sold, lanes filled of a cell being at most
those sold, lanes of a bid at most those wanted. It is a transportation problem, so the optimum of
integral data is integral; `raw` shows how near to it the solver's figure is.
"""

import json
import os
import sys

import highspy
import numpy as np


def optimum(book):
    cells = {cell["id"]: row for row, cell in enumerate(book["cells"])}
    speeds = {cell["id"]: cell["speed_ppm"] for cell in book["cells"]}
    columns = []  # (gain, upper bound, [(row, coefficient)])
    for row, cell in enumerate(book["cells"]):
        for level in cell["levels"]:
            columns.append((-level["reserve"], level["lanes"], [(row, -1)]))
    row_upper = [0] * len(cells)
    for bid in book["bids"]:
        row_upper.append(bid["lanes"])
        for cell in bid["cells"]:
            value = bid["price"] * speeds[cell] // 1_000_000
            rows = [(cells[cell], 1), (len(row_upper) - 1, 1)]
            columns.append((value, bid["lanes"], rows))
    return solve(columns, row_upper) if columns else 0.0


def solve(columns, row_upper):
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(columns), len(row_upper)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = np.array([gain for gain, _, _ in columns], dtype=float)
    lp.col_lower_ = np.zeros(len(columns))
    lp.col_upper_ = np.array([upper for _, upper, _ in columns], dtype=float)
    lp.row_lower_ = np.full(len(row_upper), -highspy.kHighsInf)
    lp.row_upper_ = np.array(row_upper, dtype=float)
    entries = [entry for _, _, rows in columns for entry in rows]
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    starts = np.cumsum([0] + [len(rows) for _, _, rows in columns])
    lp.a_matrix_.start_ = starts.astype(np.int32)
    lp.a_matrix_.index_ = np.array([row for row, _ in entries], dtype=np.int32)
    lp.a_matrix_.value_ = np.array([factor for _, factor in entries], dtype=float)
    solver = highspy.Highs()
    solver.silent()
    solver.passModel(lp)
    solver.run()
    status = solver.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise SystemExit(f"not solved: {solver.modelStatusToString(status)}")
    return solver.getObjectiveValue()


# HiGHS prints a banner even when silent: keep our answers apart from what it writes to stdout.
answers = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for line in sys.stdin:
    raw = optimum(json.loads(line))
    print(json.dumps({"welfare": round(raw), "raw": raw}), file=answers)
