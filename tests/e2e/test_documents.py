#!/usr/bin/env python3
"""Azure ML documents as they are: checked one by one, and written back out."""
import textwrap

from support import *

ENDPOINT = """\
    $schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
    name: fare
    auth_mode: key
"""
BROKEN = """\
    $schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
    type: pipeline
    jobs:
      transform:
        type: command
          raw_data:
            type: uri_folder
            path: ./data
        command: python transform.py
"""


class Documents(Case):
    def test_a_line_each(self):
        self.write("docs/endpoint.yml", ENDPOINT)
        self.write("docs/conda.yml", "name: env\ndependencies: [python=3.11]\n")
        done = self.run_tool("validate", self.path("docs/endpoint.yml"))
        self.assertEqual(done.code, 0, done)
        self.assertIn("endpoint.yml: managedOnlineEndpoint fare ok", done.out)
        done = self.run_tool("validate", self.path("docs/endpoint.yml"), self.path("docs/conda.yml"))
        self.assertEqual(done.code, 1, done)
        self.assertEqual(len(done.out.splitlines()), 2)
        self.assertIn("conda file", done.out)

    def test_the_line_that_is_missing_is_named(self):
        self.write("docs/pipeline.yml", BROKEN)
        done = self.run_tool("validate", "-no-paths", self.path("docs/pipeline.yml"))
        self.assertEqual(done.code, 1, done)
        self.assertRegex(done.out, r"pipeline\.yml:6:\d+: `raw_data` is nested below `type: command`")
        self.assertIn("inputs:", done.out)

    def test_what_came_in_goes_out_unchanged_in_meaning(self):
        self.write("endpoint.yml", ENDPOINT)
        done = self.run_tool("show", "-azureml", "endpoint.fare")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.out, textwrap.dedent(ENDPOINT))
        self.write("again/endpoint.yml", done.out)
        again = self.run_tool(f"-chdir={self.path('again')}", "show", "-azureml", "endpoint.fare")
        self.assertEqual(again.out, done.out)
        self.assertEqual(self.run_tool("show", "-azureml", "endpoint.nope").code, 1)


if __name__ == "__main__":
    main()
