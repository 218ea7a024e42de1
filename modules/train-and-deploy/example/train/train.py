"""Writes the mean of one column of every CSV file in a folder."""
import argparse
import csv
import glob
import json
import os

parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--column")
parser.add_argument("--model")
args = parser.parse_args()
values = []
for name in sorted(glob.glob(os.path.join(args.data, "*.csv"))):
    with open(name, newline="") as f:
        values += [float(row[args.column]) for row in csv.DictReader(f)]
os.makedirs(args.model, exist_ok=True)
with open(os.path.join(args.model, "mean.json"), "w") as f:
    json.dump({"column": args.column, "mean": sum(values) / len(values)}, f)
