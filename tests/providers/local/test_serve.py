"""The scoring server's contract, route by route, over a real Unix socket. Run: /usr/bin/python3 test_serve.py SERVER"""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

SERVER = sys.argv.pop(1)

SCORE = """
    import json, time
    calls = []
    def init():
        print("init was here")
    def run(raw_data):
        data = json.loads(raw_data)
        if data == "slow":
            open(__file__ + ".slow", "w").close()
            time.sleep(0.6)
            return "slow done"
        if data == "boom":
            raise ValueError("boom text")
        if data == "object":
            return object()
        if isinstance(data, dict) and "data" in data:
            rows = data["data"]
            if rows == "named":
                return {"a": [1, 2], "b": [[0.5], [1.5]]}
            if rows == "text":
                return json.dumps(["x", "y"])
            if rows == "ragged":
                return [[1], [2, 3]]
            if isinstance(rows, list):
                return [sum(r) if isinstance(r, list) else r for r in rows]
        return {"got": data}
"""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Running:
    """The server on a script, until stop()."""

    def __init__(self, script, *options, env=None):
        self.dir = tempfile.TemporaryDirectory()
        self.script = os.path.join(self.dir.name, "score.py")
        self.socket = os.path.join(self.dir.name, "s")
        with open(self.script, "w", encoding="utf-8") as f:
            f.write(textwrap.dedent(script))
        self.process = subprocess.Popen(
            ["/usr/bin/python3", SERVER, "--script", self.script, "--socket", self.socket, "--model", "fare",
             "--model-version", "3", *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})})

    def ready(self):
        for _ in range(3000):
            if os.path.exists(self.socket) and self.ask("GET", "/ready")[0] == 200:
                return self
            if self.process.poll() is not None:
                raise AssertionError(self.process.stdout.read())
            time.sleep(0.01)
        raise AssertionError("not ready")

    def ask(self, method, path, body=None, headers=None):
        c = UnixConnection(self.socket)
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return r.status, r.read(), r.headers
        except (ConnectionError, FileNotFoundError) as e:
            return 0, str(e).encode(), {}
        finally:
            c.close()

    def raw(self, data):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(self.socket)
        s.sendall(data)
        out = b""
        while True:
            try:
                got = s.recv(65536)
            except (TimeoutError, ConnectionError):
                break
            if not got:
                break
            out += got
        s.close()
        return out

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        text = self.process.communicate(timeout=20)[0]
        self.process.stdout.close()
        self.dir.cleanup()
        return self.process.returncode, text


class Routes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = Running(SCORE, "--max-body", "1000", "--concurrency", "2").ready()

    @classmethod
    def tearDownClass(cls):
        status, text = cls.s.stop()
        assert status == 0, text
        assert "init was here" in text and "boom text" in text, text

    def check(self, answer, status, part=None):
        self.assertEqual(answer[0], status, answer[1])
        if part is not None:
            self.assertIn(part, answer[1].decode())
        return answer

    def test_health(self):
        status, body, headers = self.s.ask("GET", "/")
        self.assertEqual((status, body), (200, b"Healthy"))
        self.assertTrue(headers["content-type"].startswith("text/plain"))
        self.assertEqual(self.s.ask("HEAD", "/")[:2], (200, b""))
        self.check(self.s.ask("POST", "/", b"x"), 405, "message")

    def test_score(self):
        status, body, headers = self.s.ask("POST", "/score", b'{"x": 1.5}')
        self.assertEqual((status, json.loads(body)), (200, {"got": {"x": 1.5}}))
        self.assertEqual(headers["content-type"], "application/json")
        self.assertGreaterEqual(float(headers["x-ms-run-fn-exec-ms"]), 0)
        self.assertTrue(headers["x-ms-server-version"])

    def test_a_text_result_is_encoded_as_json(self):
        self.assertEqual(json.loads(self.s.ask("POST", "/score", b'"slow"')[1]), "slow done")

    def test_score_takes_any_content_type(self):
        self.check(self.s.ask("POST", "/score", b"1", {"Content-Type": "text/csv"}), 200)

    def test_score_get(self):
        body = self.s.ask("GET", "/score?a=1&b=[1,2]&c=x&d=null&e=1&e=y")[1]
        self.assertEqual(json.loads(body)["got"], {"a": 1, "b": [1, 2], "c": "x", "d": None, "e": [1, "y"]})

    def test_score_options(self):
        answer = self.check(self.s.ask("OPTIONS", "/score"), 200)
        self.assertIn("POST", answer[2]["Allow"])

    def test_methods(self):
        for method in ("PUT", "DELETE", "PATCH"):
            self.check(self.s.ask(method, "/score", b"1"), 405, "Method not allowed")
        self.check(self.s.ask("POST", "/swagger.json", b"1"), 405)

    def test_unknown_path(self):
        for path in ("/nothing", "/score/", "/score/x", "/v2/models", "/v2/nothing"):
            self.check(self.s.ask("GET", path), 404, "message")

    def test_bad_input(self):
        self.check(self.s.ask("POST", "/score", b"\xff\xfe"), 400, "UTF-8")

    def test_run_raises(self):
        status, body, headers = self.s.ask("POST", "/score", b'"boom"')
        self.assertEqual(status, 500)
        self.assertEqual(headers["x-ms-run-function-failed"], "True")
        self.assertNotIn(b"boom", body)
        self.check(self.s.ask("POST", "/score", b'"object"'), 500)

    def test_length(self):
        self.assertIn(b" 411 ", self.s.raw(b"POST /score HTTP/1.1\r\nHost: x\r\n\r\n").split(b"\r\n")[0])
        self.assertIn(b" 400 ", self.s.raw(b"POST /score HTTP/1.1\r\nContent-Length: -1\r\n\r\n").split(b"\r\n")[0])
        self.assertIn(b" 413 ", self.s.raw(b"POST /score HTTP/1.1\r\nContent-Length: 1001\r\n\r\n").split(b"\r\n")[0])
        self.check(self.s.ask("POST", "/score", b'"' + b"x" * 998 + b'"'), 200)

    def test_chunked(self):
        c = UnixConnection(self.s.socket)
        c.request("POST", "/score", body=iter([b'{"x"', b": 2}"]), encode_chunked=True,
                  headers={"Transfer-Encoding": "chunked"})
        self.assertEqual(json.loads(c.getresponse().read()), {"got": {"x": 2}})
        c.close()
        for bad in (b"zz\r\n", b"-1\r\n", b"\r\n"):
            head = b"POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            self.assertIn(b" 400 ", self.s.raw(head + bad).split(b"\r\n")[0])
        self.assertIn(b" 413 ", self.s.raw(head + b"fffffff\r\n").split(b"\r\n")[0])
        self.assertIn(b" 501 ", self.s.raw(b"POST /score HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n").split(b"\r\n")[0])

    def test_not_http(self):
        self.assertIn(b" 400 ", self.s.raw(b"hello there world again\r\n\r\n"))
        self.assertIn(b" 431 ", self.s.raw(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n"))

    def test_ids(self):
        for name in ("x-request-id", "x-ms-request-id", "x-ms-client-request-id"):
            self.check(self.s.ask("GET", "/", headers={name: "a" * 101}), 431, name)
            self.assertEqual(self.check(self.s.ask("GET", "/", headers={name: "a" * 100}), 200)[2][name], "a" * 100)
        headers = self.s.ask("GET", "/", headers={"x-ms-request-id": "legacy"})[2]
        self.assertEqual(headers["x-ms-client-request-id"], "legacy")
        headers = self.s.ask("GET", "/")[2]
        self.assertEqual(headers["x-ms-request-id"], headers["x-request-id"])
        self.assertIsNone(headers["x-ms-client-request-id"])

    def test_keep_alive(self):
        c = UnixConnection(self.s.socket)
        for i in range(3):
            c.request("POST", "/score", body=str(i))
            self.assertEqual(json.loads(c.getresponse().read()), {"got": i})
        first = c.sock
        c.request("PUT", "/score", body="refused, yet the body is read")
        self.assertEqual(c.getresponse().read()[:2], b'{"')
        c.request("GET", "/")
        self.assertEqual(c.getresponse().read(), b"Healthy")
        self.assertIs(c.sock, first)
        c.close()

    def test_swagger(self):
        two = json.loads(self.s.ask("GET", "/swagger.json")[1])
        self.assertEqual(two["swagger"], "2.0")
        self.assertEqual(two, json.loads(self.s.ask("GET", "/swagger.json?version=2.0")[1]))
        self.assertIn("/score", two["paths"])
        self.assertIn("ServiceInput", two["definitions"])
        three = json.loads(self.s.ask("GET", "/swagger.json?version=3")[1])
        self.assertEqual(three["openapi"][:2], "3.")
        self.assertIn("ServiceInput", three["components"]["schemas"])
        self.check(self.s.ask("GET", "/swagger.json?version=9"), 404, "not valid")

    def test_swagger_of_the_user(self):
        path = os.path.join(self.s.dir.name, "swagger.json")
        with open(path, "w", encoding="utf-8") as f:
            f.write('{"swagger": "2.0", "mine": true}')
        try:
            self.assertTrue(json.loads(self.s.ask("GET", "/swagger.json")[1])["mine"])
        finally:
            os.unlink(path)

    # -- Open Inference Protocol --

    def infer(self, request, path="/v2/models/fare/infer"):
        return self.s.ask("POST", path, json.dumps(request), {"Content-Type": "application/json"})

    def test_v2_server(self):
        self.assertEqual(json.loads(self.s.ask("GET", "/v2")[1])["extensions"], [])
        self.check(self.s.ask("GET", "/v2/health/live"), 200, "true")
        self.check(self.s.ask("GET", "/v2/health/ready"), 200, "true")

    def test_v2_model(self):
        for path in ("/v2/models/fare", "/v2/models/fare/versions/3"):
            model = json.loads(self.check(self.s.ask("GET", path), 200)[1])
            self.assertEqual((model["name"], model["versions"]), ("fare", ["3"]))
            self.assertTrue(json.loads(self.s.ask("GET", path + "/ready")[1])["ready"])
        self.check(self.s.ask("GET", "/v2/models/other"), 404, "fare")
        self.check(self.s.ask("GET", "/v2/models/fare/versions/4"), 404)
        self.check(self.s.ask("GET", "/v2/models/fare/infer"), 405)

    def test_v2_infer(self):
        tensor = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3.5, 4]}
        answer = json.loads(self.check(self.infer({"id": "7", "inputs": [tensor]}), 200)[1])
        self.assertEqual(answer, {"id": "7", "model_name": "fare", "model_version": "3", "outputs": [
            {"name": "output-0", "shape": [2], "datatype": "FP64", "data": [3, 7.5]}]})
        nested = dict(tensor, data=[[1, 2], [3.5, 4]])
        self.assertEqual(json.loads(self.infer({"inputs": [nested]}, "/v2/models/fare/versions/3/infer")[1])
                         ["outputs"][0]["data"], [3, 7.5])

    def test_v2_outputs(self):
        def named(word, **more):
            tensor = {"name": "x", "shape": [], "datatype": "BYTES", "data": [word]}
            return json.loads(self.infer({"inputs": [tensor], **more})[1])["outputs"]
        self.assertEqual(named("named"), [{"name": "a", "shape": [2], "datatype": "INT64", "data": [1, 2]},
                                          {"name": "b", "shape": [2, 1], "datatype": "FP64", "data": [0.5, 1.5]}])
        self.assertEqual([o["name"] for o in named("named", outputs=[{"name": "b"}])], ["b"])
        self.assertEqual(named("text"), [{"name": "output-0", "shape": [2], "datatype": "BYTES", "data": ["x", "y"]}])

    def test_v2_several_inputs(self):
        a = {"name": "a", "shape": [1], "datatype": "INT64", "data": [1]}
        b = {"name": "b", "shape": [2], "datatype": "BOOL", "data": [True, False]}
        outputs = json.loads(self.infer({"inputs": [a, b]})[1])["outputs"]
        self.assertEqual(outputs[0]["name"], "got")

    def test_v2_refusals(self):
        good = {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}
        for bad in ([], {}, {"inputs": []}, {"inputs": [1]}, {"inputs": [dict(good, shape=[3])]},
                    {"inputs": [dict(good, shape=["2"])]}, {"inputs": [dict(good, shape=[-2])]},
                    {"inputs": [dict(good, shape=[True, 2])]}):
            self.check(self.infer(bad), 400, "message")
        self.check(self.s.ask("POST", "/v2/models/fare/infer", b"{", {"Content-Type": "application/json"}), 400)
        self.check(self.s.ask("POST", "/v2/models/fare/infer", b"{}", {"Content-Type": "text/plain"}), 415)
        ragged = {"name": "x", "shape": [], "datatype": "BYTES", "data": ["ragged"]}
        self.check(self.infer({"inputs": [ragged]}), 500, "no tensor")


class Life(unittest.TestCase):
    def refused(self, script, *parts):
        s = Running(script)
        status = s.process.wait(timeout=20)
        code, text = s.stop()
        self.assertEqual(status, 3, text)
        for part in parts:
            self.assertIn(part, text)

    def test_scripts_that_cannot_serve(self):
        self.refused("def run(raw_data): pass", "init()")
        self.refused("def init(): pass", "run(raw_data)")
        self.refused("import nothing_of_this_name", "ModuleNotFoundError")
        self.refused("def init(): raise RuntimeError('no model')\ndef run(d): pass", "no model")
        self.refused("def init(): pass\ndef run(): pass", "argument for the data")
        self.refused("def init(): pass\ndef run(*data): pass", "named parameters")
        self.refused("def init(): pass\ndef run(a, b): pass", "'b' is one too many")
        self.refused("def init(): pass\ndef run(a):\n  return (", "SyntaxError")

    def test_request_headers_are_handed_over(self):
        s = Running("def init(): pass\ndef run(data, request_headers): return request_headers['X-Mine']").ready()
        self.assertEqual(json.loads(s.ask("POST", "/score", b"1", {"X-Mine": "yes"})[1]), "yes")
        self.assertEqual(s.stop()[0], 0)

    def test_modules_beside_the_script(self):
        s = Running("def init(): global m; import helper as m\ndef run(data): return m.value")
        with open(os.path.join(s.dir.name, "helper.py"), "w", encoding="utf-8") as f:
            f.write("value = 7\n")
        self.assertEqual(json.loads(s.ready().ask("POST", "/score", b"1")[1]), 7)
        s.stop()

    def test_version_header(self):
        s = Running(SCORE, env={"HTTP_X_MS_SERVER_VERSION": "azmlinfsrv/x"}).ready()
        self.assertEqual(s.ask("GET", "/")[2]["x-ms-server-version"], "azmlinfsrv/x")
        s.stop()

    def test_term_finishes_what_is_in_flight(self):
        s = Running(SCORE).ready()
        idle = UnixConnection(s.socket)
        idle.request("GET", "/")
        idle.getresponse().read()
        answers = []
        slow = threading.Thread(target=lambda: answers.append(s.ask("POST", "/score", b'"slow"')))
        slow.start()
        while not os.path.exists(s.script + ".slow"):
            time.sleep(0.01)
        s.process.send_signal(signal.SIGTERM)
        s.process.wait(timeout=60)  # the idle connection, kept for 120 s, does not hold it
        slow.join()
        self.assertEqual(answers[0][:2], (200, b'"slow done"'))
        self.assertEqual(answers[0][2]["connection"], "close")
        self.assertFalse(os.path.exists(s.socket))
        self.assertEqual(s.stop()[0], 0)
        idle.close()

    def test_run_is_called_by_one_thread_at_a_time(self):
        script = """
            import threading, time
            inside, most = 0, 0
            def init(): pass
            def run(data):
                global inside, most
                inside += 1
                most = max(most, inside)
                time.sleep(0.02)
                inside -= 1
                return most
        """
        for options, check in (((), lambda m: m == 1), (("--concurrency", "4"), lambda m: 1 < m <= 4)):
            s = Running(script, *options).ready()
            out = []
            threads = [threading.Thread(target=lambda: out.append(int(s.ask("POST", "/score", b"1")[1])))
                       for _ in range(12)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertTrue(check(max(out)), out)
            s.stop()

    def test_tcp_and_readiness_notice(self):
        told, tell = os.pipe()
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "score.py")
            with open(path, "w", encoding="utf-8") as f:
                f.write("def init(): pass\ndef run(data): return 1\n")
            p = subprocess.Popen(["/usr/bin/python3", SERVER, "--script", path, "--notify-fd", str(tell)],
                                 pass_fds=(tell,), stderr=subprocess.PIPE, text=True)
            os.close(tell)
            self.assertEqual(os.read(told, 1), b"\n")
            port = int(p.stderr.readline().rsplit(":", 1)[1])
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            c.request("POST", "/score", body="1")
            self.assertEqual(c.getresponse().read(), b"1")
            c.close()
            p.terminate()
            self.assertEqual(p.wait(timeout=10), 0)
            p.stderr.close()
        os.close(told)


if __name__ == "__main__":
    unittest.main()
