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

    def test_of_what_is_wrong_kind_and_name_are_told(self):
        self.write("docs/endpoint.yml", ENDPOINT.replace("auth_mode: key", "auth_mod: key"))
        self.write("docs/main.yaml", "resources: {}\n")
        done = self.run_tool("validate", self.path("docs/endpoint.yml"), self.path("docs/main.yaml"))
        self.assertEqual(done.code, 1, done)
        self.assertRegex(done.out, r"endpoint\.yml:3:1: managedOnlineEndpoint fare: .*`auth_mod`.*`auth_mode`")
        self.assertRegex(done.out, r"main\.yaml:1:1: this is no Azure ML entity, but part of a template")

    def test_a_whole_template_without_its_files(self):
        self.write("main.yaml", "include: [docs/e.yml]\nproviders: { local: {} }\n"
                   "set: { environment.e: { description: set } }\n")
        self.write("docs/e.yml", "name: e\nimage: i\nconda_file: conda.yml\n")
        self.init()  # what it gets ready may come later
        done = self.fails("validate", says="there is no file or folder conda.yml")
        self.assertNotIn("to set", done.text)  # nothing follows from the missing file
        self.ok("validate", "-no-paths")
        self.write("docs/conda.yml", "dependencies: [python=3.11]\n")
        self.ok("validate")

    def test_the_line_that_is_missing_is_named(self):
        self.write("docs/pipeline.yml", BROKEN)
        done = self.run_tool("validate", "-no-paths", self.path("docs/pipeline.yml"))
        self.assertEqual(done.code, 1, done)
        self.assertRegex(done.out, r"pipeline\.yml:6:\d+: `raw_data` is nested below `type: command`")
        self.assertIn("inputs:", done.out)

    def test_the_pipeline_this_project_began_with(self):
        """As it was written, and with the line that is missing."""
        origin = os.path.join(SOURCE, "tests/planner/template/origin")
        done = self.fails("validate", "-no-paths", os.path.join(origin, "pipeline-job.yml"))
        self.assertRegex(done.out, r"pipeline-job\.yml:9:7: `raw_data` is nested below `type: command`")
        self.assertIn("a line is probably missing above it: `inputs:`, indented like `type`", done.out)
        repaired = os.path.join(origin, "pipeline-job.repaired.yml")
        self.ok("validate", "-no-paths", repaired, says="pipeline-job.repaired.yml: pipelineJob - ok")
        shutil.copy(repaired, self.path("taxi.yml"))
        for name in ("data", "src/transform", "src/train"):
            os.makedirs(self.path(name))
        first = self.ok("show", "-azureml", "job.taxi").out
        self.write("again/taxi.yml", first)
        self.ok("validate", "-no-paths", self.path("again/taxi.yml"), says="pipelineJob - ok")
        self.assertIn("--raw_data ${{inputs.raw_data}}", first)

    def test_what_came_in_goes_out_unchanged_in_meaning(self):
        self.write("endpoint.yml", ENDPOINT)
        done = self.run_tool("show", "-azureml", "endpoint.fare")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.out, textwrap.dedent(ENDPOINT))
        self.write("again/endpoint.yml", done.out)
        again = self.run_tool(f"-chdir={self.path('again')}", "show", "-azureml", "endpoint.fare")
        self.assertEqual(again.out, done.out)
        self.assertEqual(self.run_tool("show", "-azureml", "endpoint.nope").code, 1)

    def test_a_field_that_the_command_line_would_give(self):
        self.write("deployment.yml", """\
            $schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
            name: blue
            model: azureml:ripeness:7
            instance_type: Standard_DS3_v2
            instance_count: 1
            """)
        checked = self.run_tool("validate", self.path("deployment.yml"))
        self.assertEqual(checked.code, 0, checked)  # alone it is sound: `az ml` would be told the rest
        done = self.run_tool("show", "-azureml", "deployment.blue")
        self.assertEqual(done.code, 1, done)
        self.assertIn("deployment.blue needs `endpoint_name`", done.text)
        self.assertIn("set: { deployment.blue: { endpoint_name:", done.text)
        self.write("main.yaml", "set: { deployment.blue: { endpoint_name: ripe } }\n")
        done = self.run_tool("show", "-azureml", "deployment.blue")
        self.assertEqual(done.code, 0, done)
        self.assertIn("azureml:ripeness:7", done.out)

    def test_kinds_without_schema(self):
        for name, text, says in (
                ("job", "type: command\nname: j\ncommand: echo\nenvironment: azureml:e:1\n", "commandJob j ok"),
                ("compute", "type: amlcompute\nname: c\nsize: s\n", "amlCompute c ok"),
                ("endpoint", "name: e\nauth_mode: key\n", "managedOnlineEndpoint e ok"),
                ("environment", "name: v\nimage: i\n", "environment v ok")):
            self.write(name + ".yml", text)
            done = self.run_tool("validate", self.path(name + ".yml"))
            self.assertIn(says, done.out, done)

    def test_every_document_of_ours_comes_back(self):
        folder = os.path.join(SOURCE, "tests/planner/template/documents")
        shutil.copytree(folder, self.path("docs"))
        os.makedirs(self.path("docs/src"))
        os.makedirs(self.path("docs/model"))
        open(self.path("docs/conda.yml"), "w", encoding="utf-8").close()
        self.write("main.yaml", "include: ['docs/[!c]*.yml', docs/component.yml, docs/compute.yml, docs/connection.yml]\n")
        wanted = {}
        for name in sorted(os.listdir(folder)):
            done = self.run_tool("validate", "-no-paths", os.path.join(folder, name))
            self.assertEqual(done.code, 0, done)
            kind, word = done.out.split()[1:3]
            wanted[word] = (name, kind)
        for address in ("job.harvest", "deployment.blue", "workspace.orchard", "environment.orchard-env", "component.wash"):
            first = self.run_tool("show", "-azureml", address)
            self.assertEqual(first.code, 0, first)
            name, kind = wanted[address.partition(".")[2]]
            self.write("again/" + name, first.out)
            again = self.run_tool("validate", "-no-paths", self.path("again/" + name))
            self.assertIn(f" {kind} {address.partition('.')[2]} ok", again.out)


if __name__ == "__main__":
    main()
