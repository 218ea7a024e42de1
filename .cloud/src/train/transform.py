"""Step 1: the raw green and yellow records become one clean table of features and fares."""
import argparse
import glob
import os

import pandas as pd

# The two companies' files name the same things differently; lower case makes most of them equal.
NAMES = {
    "lpeppickupdatetime": "pickup", "tpeppickupdatetime": "pickup",
    "pickuplongitude": "pickup_longitude", "startlon": "pickup_longitude",
    "pickuplatitude": "pickup_latitude", "startlat": "pickup_latitude",
    "dropofflongitude": "dropoff_longitude", "endlon": "dropoff_longitude",
    "dropofflatitude": "dropoff_latitude", "endlat": "dropoff_latitude",
    "vendorid": "vendor", "passengercount": "passengers",
    "tripdistance": "distance", "totalamount": "fare",
}
FEATURES = ["distance", "passengers", "vendor", "pickup_hour", "pickup_weekday",
            "pickup_longitude", "pickup_latitude", "dropoff_longitude", "dropoff_latitude"]


def read(path):
    table = pd.read_csv(path)
    table.columns = [NAMES.get(c.lower(), c.lower()) for c in table.columns]
    pickup = pd.to_datetime(table["pickup"])
    table["pickup_hour"] = pickup.dt.hour
    table["pickup_weekday"] = pickup.dt.weekday
    return table[FEATURES + ["fare"]]


def clean(table):
    """Rows that a meter cannot have meant: no way, no money, or a place outside the city."""
    table = table.dropna()
    near = table["pickup_longitude"].between(-74.3, -73.6) & table["dropoff_longitude"].between(-74.3, -73.6)
    near &= table["pickup_latitude"].between(40.5, 41.0) & table["dropoff_latitude"].between(40.5, 41.0)
    sound = table["distance"].between(0.05, 60) & table["fare"].between(2.5, 250)
    return table[near & sound].reset_index(drop=True)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--raw", required=True)
    args.add_argument("--clean", required=True)
    given = args.parse_args()
    files = sorted(glob.glob(os.path.join(given.raw, "*.csv")))
    raw = pd.concat([read(f) for f in files], ignore_index=True)
    table = clean(raw)
    table.to_csv(given.clean, index=False)
    print(f"transform: {len(files)} files, {len(raw)} trips read, {len(table)} kept")


if __name__ == "__main__":
    main()
