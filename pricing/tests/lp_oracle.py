"""Reads books as JSON lines from stdin, prints the optimum of each as a line of JSON.

The market as one linear programme, solved by HiGHS (PyPI highspy):
maximise value of lanes filled less reserves of lanes sold, lanes filled of a cell being at most
those sold, lanes of a bid at most those wanted. It is a transportation problem, so the optimum of
integral data is integral; `relaxed` is the solver's figure as it is. `whole` is the optimum with min
fills: a bid that is served (a variable of 0 or 1) gets at least its min fill. Budgets and caps are
ignored. With the argument `time`, `relaxed` alone is solved, and `seconds` is the CPU time of that,
without the building of the model.
"""

import json
import os
import sys
import time

import highspy
import numpy as np


def model(book, lumpy):
    cells = {cell["id"]: row for row, cell in enumerate(book["cells"])}
    speeds = {cell["id"]: cell["speed_ppm"] for cell in book["cells"]}
    columns = []  # (gain, upper bound, [(row, coefficient)])
    binaries = []
    for row, cell in enumerate(book["cells"]):
        for level in cell["levels"]:
            columns.append((-level["reserve"], level["lanes"], [(row, -1)]))
    row_upper = [0] * len(cells)
    for bid in book["bids"]:
        row = len(row_upper)
        at_least = bid["min_fill"] if lumpy else 0
        # Lanes less `lanes` if it is served are at most 0; `min_fill` if served less lanes too.
        row_upper += [0, 0] if at_least > 1 else [bid["lanes"]]
        if at_least > 1:
            binaries.append(len(columns))
            columns.append((0, 1, [(row, -bid["lanes"]), (row + 1, at_least)]))
        for cell in bid["cells"]:
            value = bid["price"] * speeds[cell] // 1_000_000
            rows = [(cells[cell], 1), (row, 1)] + ([(row + 1, -1)] if at_least > 1 else [])
            columns.append((value, bid["lanes"], rows))
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
    if binaries:
        kinds = [highspy.HighsVarType.kContinuous] * len(columns)
        for column in binaries:
            kinds[column] = highspy.HighsVarType.kInteger
        lp.integrality_ = kinds
    return lp


def solve(lp):
    if lp.num_col_ == 0:
        return 0.0
    solver = highspy.Highs()
    solver.silent()
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("threads", 1)
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
    book = json.loads(line)
    relaxed = model(book, lumpy=False)
    if "time" in sys.argv[1:]:
        start = time.process_time()
        answer = {"relaxed": solve(relaxed)}
        answer["seconds"] = time.process_time() - start
    else:
        answer = {"relaxed": solve(relaxed), "whole": solve(model(book, lumpy=True))}
    print(json.dumps(answer), file=answers)
