#!/usr/bin/env python3
"""The local platform: what happens at once, and changes that show in what the platform computes."""
import socket

from support import *


@unittest.skipUnless(shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin") and shutil.which("s6-svscan"),
                     "needs haproxy and s6")
class Platform(Case):
    def setUp(self):
        super().setUp()
        self.template("")
        self.addCleanup(self.run_tool, "destroy", "-auto-approve")

    def template(self, resources):
        self.write("main.yaml", "providers: { local: {} }\nresources:\n  workspace: { w: {} }\n" + resources)

    def free_port(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    def test_endpoints_made_at_once_do_not_share_a_port(self):
        port, names = self.free_port(), "abcdef"
        self.template("  endpoint:\n" + "".join(
            f"    {n}: {{ workspace: '${{workspace.w.name}}', auth_mode: none, port: {port} }}\n" for n in names))
        self.init()
        done = self.fails("apply", "-auto-approve", says=f"port {port} is taken")
        made = [n for n in names if f"endpoint.{n}: Creation complete" in done.text]
        self.assertEqual(len(made), 1, str(done))

    def test_keys_come_and_go(self):
        keys = self.path(".local-platform/workspaces/w/endpoints/e/keys/primary")
        for mode, file in ("none", ""), ("key", keys), ("none", ""), ("key", keys):
            self.template(f"  endpoint: {{ e: {{ workspace: '${{workspace.w.name}}', auth_mode: {mode} }} }}\n"
                          "outputs: { key: { value: '${endpoint.e.key_file}' } }\n")
            self.init()
            self.apply()
            self.assertEqual(self.ok("output", "-raw", "key").out, file)
            self.no_changes()

    def test_no_traffic_is_no_change(self):
        for traffic in "", ", traffic: {}", "":
            self.template(f"  endpoint: {{ e: {{ workspace: '${{workspace.w.name}}'{traffic} }} }}\n")
            self.init()
            self.apply()
            self.assertNotIn("changed outside", self.ok("plan", "-detailed-exitcode", says="No changes.").text)

    def test_another_file_of_the_same_content_is_another_version(self):
        for name, version in ("one", 1), ("two", 2), ("two", 2), ("one", 3):
            self.write(name, "same\n")
            self.template(f"  model: {{ m: {{ workspace: '${{workspace.w.name}}', type: custom_model, path: {name} }} }}\n"
                          "outputs: { file: { value: '${model.m.stored_path}' } }\n")
            self.init()
            self.apply()
            file = self.ok("output", "-raw", "file").out
            self.assertEqual(file, self.path(f".local-platform/workspaces/w/assets/model/m/{version}/content/{name}"))
            self.assertTrue(os.path.exists(file))
            self.no_changes()


if __name__ == "__main__":
    main()
