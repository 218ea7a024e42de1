"""Scores trips with the model of step 2: Azure ML's contract, init() once and run(raw_data) for each request.

Takes {"input_data": {"columns": [...], "data": [[...], ...]}} or {"data": [[...], ...]} in the order of `features`;
gives {"fares": [...], "currency": ...}.
"""
import glob
import json
import os

import joblib
import numpy as np

state = {}


def init():
    folder = os.environ["AZUREML_MODEL_DIR"]
    found = glob.glob(os.path.join(folder, "**", "model.joblib"), recursive=True)
    if not found:
        raise FileNotFoundError(f"no model.joblib below {folder}")
    state.update(joblib.load(found[0]))
    state["currency"] = os.environ.get("CURRENCY", "USD")
    state["rate"] = float(os.environ.get("RATE", "1"))


def rows_of(body):
    table = body.get("input_data", body)
    rows, columns = table["data"], table.get("columns", state["features"])
    missing = [c for c in state["features"] if c not in columns]
    if missing:
        raise ValueError(f"missing columns: {', '.join(missing)}")
    order = [columns.index(c) for c in state["features"]]
    return np.array([[row[i] for i in order] for row in rows], dtype=float)


def run(raw_data):
    fares = state["model"].predict(rows_of(json.loads(raw_data))) * state["rate"]
    return {"fares": [round(float(f), 2) for f in fares], "currency": state["currency"]}
