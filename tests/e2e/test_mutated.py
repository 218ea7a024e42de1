#!/usr/bin/env python3
"""Templates with something wrong put into them at random places: the program says what is wrong, and never ends otherwise.

MIO_MUTATIONS=N and MIO_SEED=S make more and others.
"""
import copy
import random

from support import *

BASE = {'providers': {'sim': {'path': 'cloud.db'}, 'two': {'type': 'sim', 'for_each': {'a': 1, 'b': 2}, 'path': '${each.key}.db'}},
 'variables': {'n': {'type': 'number', 'default': 2, 'validation': [{'condition': '${var.n < local.lim}', 'error': 'too ${var.n}'}]},
               'm': {'type': 'map(object({ s = optional(number, 1), t = optional(list(string)) }))', 'default': {'a': {}, 'b': {'s': 2}}},
               's': {'type': 'string', 'default': 'hid', 'sensitive': True}},
 'locals': {'lim': 9, 'names': '${[for k, v in var.m : k]}', 'deep': {'a': [1, '${var.n}']}},
 'resources': {'thing': {'a': {'count': '${var.n}', 'name': 'a${count.index}', 'inputs': {'v': '${var.s}'}},
                         'b': {'for_each': '${var.m}',
                               'name': 'b-${each.key}',
                               'inputs': {'s': '${each.value.s}', 'ids': '${thing.a[*].id}'},
                               'provider': 'two["a"]',
                               'lifecycle': {'create_before_destroy': True,
                                             'ignore_changes': ['inputs'],
                                             'replace_triggered_by': ['thing.a'],
                                             'precondition': [{'condition': '${var.n > 0}', 'error': 'e'}],
                                             'postcondition': [{'condition': '${self.id != null}', 'error': 'e'}]}},
                         'c': {'name': 'c',
                               'enabled': '${var.n > 1}',
                               'depends_on': ['thing.b', 'module.k'],
                               'timeouts': {'create': '5s'},
                               'triggers': ['${local.deep.a[1]}'],
                               'provider_options': {'sim': {}}}}},
 'data': {'thing': {'d': {'name': '${thing.c.name}'}}},
 'modules': {'k': {'source': './mod', 'for_each': '${toset(local.names)}', 'inputs': {'x': '${each.key}', 'y': '${thing.a[0].id}'}}},
 'outputs': {'o': {'value': '${module.k["a"].out}', 'precondition': [{'condition': '${true}', 'error': 'e'}], 'depends_on': ['thing.c']},
             'p': {'value': '${ { for k, x in thing.b : k => x.id... } }', 'sensitive': True}},
 'moved': [{'from': 'thing.z', 'to': 'thing.a[0]'}],
 'removed': [{'from': 'thing.q', 'on_removed': 'forget'}],
 'checks': {'c': {'condition': '${thing.c.id != 1}', 'error': 'x ${thing.c.id}'}},
 'policies': {'p': {'condition': '${plan.counts.add < 99}', 'error': 'x'}},
 'set': {'thing.c': {'inputs': {'z': 1}}}}
MODULE = {'variables': {'x': {'type': 'string'}, 'y': {}},
 'resources': {'thing': {'m': {'name': 'm-${var.x}', 'inputs': {'y': '${var.y}'}}}},
 'outputs': {'out': {'value': '${thing.m.id}'}},
 'moved': [{'from': 'thing.w', 'to': 'thing.m'}]}
WEIRD = [None, '', [], {}, 0, -1, 1.5, True, '~', '${', '${}', '${null}', '${var.s}', '${thing.a}', '${thing.b["a"]}', '${thing.zz.id}', '${module.k}',
 '${each.key}', '${self.id}', '${count.index}', '${1/0}', '${[for x in thing.a : x.id]}', '${local.deep}', '${data.thing.d.id}',
 '${plan.changes}', '${thing.c[0]}', '${thing.c.id.x}', '${toset([thing.c.id])}', '${ { (thing.c.id) = 1 } }', '%{if true}',
 '${module.k["zz"].out}', 'thing.c', 'thing.a[0]', 'module.k', 'module.k["a"].thing.m', 'thing.b["a"]', 'two["a"]', 'two["zz"]', 'two', 'sim',
 '${path.root}', '${stage.name}',
 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',
 'thing[', '["', '${var.m}', '${var.nope}', '${upper()}', '${try(thing.c.id, 1)}', [None], [[1]], {'a': None}, {'condition': '${null}'},
 '${local.lim}', '${sensitive(1)}', '${templatestring(var.s, {})}', '${file("main.yaml")}', '${timestamp()}', 'a b', '../x', '/etc/passwd',
 '${[1,2][5]}', 1000000000000000000000000000000, '${tolist(thing.b)}', '${thing.a[*]}', '${var.m[*]}', '${thing.b["a"].inputs.ids[0]}']
KEYS = ["for_each", "count", "enabled", "provider", "depends_on", "name", "lifecycle", "x", "type", "default", "source", "inputs", "thing", "sensitive",
        "condition"]


def at(tree, path):
    for step in path:
        tree = tree[step]
    return tree


def places(tree, path=()):
    yield from [path] if path else []
    steps = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for step in steps:
        yield from places(tree[step], path + (step,))


def mutate(chance, tree):
    path = chance.choice(list(places(tree)))
    parent, step = at(tree, path[:-1]), path[-1]
    how = chance.randrange(10)
    if how < 6:
        parent[step] = copy.deepcopy(chance.choice(WEIRD))
    elif how == 6:
        del parent[step]
    elif how == 7:
        parent[step] = copy.deepcopy(at(tree, chance.choice(list(places(tree)))))
    elif isinstance(parent, dict):
        parent[chance.choice(KEYS)] = copy.deepcopy(chance.choice(WEIRD)) if how == 8 else parent.pop(step)


class Mutated(Case):
    def put(self, template, module):
        self.write("main.yaml", json.dumps(template))  # JSON is YAML
        self.write("mod/main.yaml", json.dumps(module))

    def test_every_end_is_an_orderly_one(self):
        chance = random.Random(int(os.environ.get("MIO_SEED", "1")))
        self.put(BASE, MODULE)
        self.init()
        self.apply()
        for i in range(int(os.environ.get("MIO_MUTATIONS", "60"))):
            template, module = copy.deepcopy(BASE), copy.deepcopy(MODULE)
            for _ in range(chance.randrange(1, 4)):
                mutate(chance, template if chance.randrange(5) else module)
            self.put(template, module)
            for command in (["validate", "-json"], ["plan"], ["graph"]) if i % 3 == 0 else (["apply", "-auto-approve"],):
                done = self.run_tool(*command)
                what = f"{done}\n{json.dumps(template)}\n{json.dumps(module)}"
                self.assertIn(done.code, (0, 1), what)
                self.assertTrue(done.code == 0 or "rror" in done.text, what)
                for never in ("AddressSanitizer", "runtime error", "a defect of"):
                    self.assertNotIn(never, done.text, what)


if __name__ == "__main__":
    main()
