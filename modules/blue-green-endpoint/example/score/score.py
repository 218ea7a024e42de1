"""Greets whoever the request names."""
import json
import os

model = {}


def init():
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model", "greeting.json")) as f:
        model.update(json.load(f))


def run(raw_data):
    name = json.loads(raw_data).get("name", "world")
    return {"greeting": f"{os.environ['WORD']}, {name}{model['mark']}"}
