"""Step 2: a gradient-boosted regression from trips to fares, with its metrics on trips it has not seen."""
import argparse
import json
import os

import joblib
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--clean", required=True)
    args.add_argument("--model", required=True)
    args.add_argument("--trees", type=int, default=60)
    args.add_argument("--seed", type=int, default=42)
    given = args.parse_args()

    table = pd.read_csv(given.clean)
    features = [c for c in table.columns if c != "fare"]
    seen, unseen = train_test_split(table, test_size=0.2, random_state=given.seed)
    model = GradientBoostingRegressor(n_estimators=given.trees, max_depth=4, random_state=given.seed)
    model.fit(seen[features].to_numpy(), seen["fare"].to_numpy())
    guess = model.predict(unseen[features].to_numpy())
    metrics = {
        "mean_absolute_error": round(float(mean_absolute_error(unseen["fare"], guess)), 4),
        "r2": round(float(r2_score(unseen["fare"], guess)), 4),
        "rows_seen": len(seen),
        "rows_unseen": len(unseen),
        "seed": given.seed,
        "trees": given.trees,
    }

    joblib.dump({"features": features, "model": model}, os.path.join(given.model, "model.joblib"))
    with open(os.path.join(given.model, "metrics.json"), "w", encoding="utf-8") as out:
        json.dump(metrics, out, indent=2, sort_keys=True)
        out.write("\n")
    print("train:", json.dumps(metrics, sort_keys=True))


if __name__ == "__main__":
    main()
