"""The scoring server of a replica: a user's score.py behind HTTP/1.1, standard library only.

In:  a script with init() and run(raw_data[, request_headers]); a Unix socket or a loopback port to listen on.
Out: Azure ML's inference contract (/, /score, /swagger.json) and the Open Inference Protocol v2 (/v2/...).
Owns: the listening socket. Never: trusts a length, answers before init() has returned, cuts a request on SIGTERM.

What of Azure ML's own server is not here: @rawhttp, @input_schema, Application Insights, CORS.
"""
import argparse
import importlib.util
import inspect
import json
import os
import signal
import socket
import socketserver
import sys
import threading
import time
import traceback
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler

ID_LIMIT = 100          # longest request id that is taken, in characters
SWAGGER_FILES = {"2": ("swagger.json", "swagger2.json"), "3": ("swagger3.json",), "3.1": ("swagger3.1.json",)}
SWAGGER_ALIASES = {"2.0": "2", "3.0": "3"}


class Refused(Exception):
    """An answer other than 200: status and the text of `message`."""

    def __init__(self, status, message, failed=False):
        super().__init__(message)
        self.status, self.message, self.failed = status, message, failed


def log(text):
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.stderr.flush()


# ---- the user's script --------------------------------------------------------------------------

class Script:
    """score.py, loaded and checked; run() is called by at most `concurrency` threads at once."""

    def __init__(self, path, concurrency):
        self.path = path
        self.slots = threading.BoundedSemaphore(concurrency)
        folder = os.path.dirname(os.path.abspath(path))
        for entry in (os.getcwd(), folder):
            if entry not in sys.path:
                sys.path.append(entry)
        spec = importlib.util.spec_from_file_location("entry_module", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["entry_module"] = module
        spec.loader.exec_module(module)
        for name in ("init", "run"):
            if not callable(getattr(module, name, None)):
                raise SystemExit(f"{path}: no function {name}(); a scoring script defines init() and run(raw_data)")
        self.init, self.user_run = module.init, module.run
        self.data_name, self.wants_headers = self._parameters()

    def _parameters(self):
        data, headers = None, False
        for p in inspect.signature(self.user_run).parameters.values():
            if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                raise SystemExit(f"{self.path}: run() takes named parameters only, not *args, **kwargs or '/'")
            if p.name == "request_headers":
                headers = True
            elif data is None:
                data = p.name
            elif p.default is p.empty:
                raise SystemExit(f"{self.path}: run() takes one argument for the data; '{p.name}' is one too many")
        if data is None:
            raise SystemExit(f"{self.path}: run() needs an argument for the data")
        return data, headers

    def run(self, raw, headers):
        """(result, milliseconds). Whatever run() raises becomes a 500 that says so in a header."""
        arguments = {self.data_name: raw}
        if self.wants_headers:
            arguments["request_headers"] = dict(headers)
        with self.slots:
            start = time.perf_counter()
            try:
                result = self.user_run(**arguments)
            except Exception:
                log("run() failed: " + traceback.format_exc())
                raise Refused(500, "An unexpected error occurred in scoring script. Check the logs for more info.",
                              failed=True) from None
            return result, (time.perf_counter() - start) * 1e3


# ---- swagger ------------------------------------------------------------------------------------

def swagger(server, version):
    version = SWAGGER_ALIASES.get(version, version)
    if version not in SWAGGER_FILES:
        raise Refused(404, f"Swagger version [{version}] is not valid. Supported versions: [2, 3, 3.1].")
    for name in SWAGGER_FILES[version]:
        try:
            with open(os.path.join(os.path.dirname(server.script.path), name), encoding="utf-8") as f:
                return json.load(f)
        except FileNotFoundError:
            continue
    return swagger_made(server.name, version)


def swagger_made(name, version):
    """A description of / and /score with bodies of any JSON object, in the wanted dialect."""
    new = version != "2"
    where = "#/components/schemas/" if new else "#/definitions/"
    def answer(text, ref=None, kind="application/json"):
        schema = {"$ref": where + ref} if ref else {"type": "string"}
        return {"description": text, **({"content": {kind: {"schema": schema}}} if new else {"schema": schema})}
    sent = {"$ref": where + "ServiceInput"}
    score = {
        "operationId": "RunMLService", "summary": "Runs the scoring script on the body.",
        "responses": {"200": answer("What run() returned.", "ServiceOutput"),
                      "default": answer("Why it failed.", "ErrorResponse")},
        **({"requestBody": {"required": True, "content": {"application/json": {"schema": sent}}}} if new else
           {"consumes": ["application/json"], "produces": ["application/json"],
            "parameters": [{"name": "serviceInputPayload", "in": "body", "required": True, "schema": sent}]}),
    }
    health = {"operationId": "ServiceHealthCheck", "summary": "Says whether the service is up.",
              "responses": {"200": answer("Up.", kind="text/plain")}}
    if not new:
        health["produces"] = ["text/plain"]
    shapes = {"ServiceInput": {"type": "object", "example": {}}, "ServiceOutput": {"type": "object", "example": {}},
              "ErrorResponse": {"type": "object", "properties": {"message": {"type": "string"}}}}
    return {
        **({"openapi": "3.1.0" if version == "3.1" else "3.0.3"} if new else {"swagger": "2.0"}),
        "info": {"title": name, "version": "1.0"},
        "paths": {"/": {"get": health}, "/score": {"post": score}},
        **({"components": {"schemas": shapes}} if new else {"definitions": shapes, "schemes": ["http"]}),
    }


# ---- Open Inference Protocol v2 -----------------------------------------------------------------

def nest(flat, shape):
    """Row-major values as nested lists of `shape`."""
    if len(shape) <= 1:
        return flat
    step = len(flat) // shape[0] if shape[0] else 0
    return [nest(flat[i * step:(i + 1) * step], shape[1:]) for i in range(shape[0])]


def flatten(value, shape, depth, out):
    if not isinstance(value, list):
        if depth != len(shape):
            raise ValueError("rows of different depth")
        out.append(value)
        return
    if depth == len(shape):
        raise ValueError("rows of different depth")
    if len(value) != shape[depth]:
        raise ValueError("rows of different length")
    for v in value:
        flatten(v, shape, depth + 1, out)


def to_tensor(name, value):
    shape, v = [], value
    while isinstance(v, list):
        shape.append(len(v))
        v = v[0] if v else None
    flat = []
    flatten(value, shape, 0, flat)
    kinds = {type(x) for x in flat}
    if kinds == {bool}:
        datatype = "BOOL"
    elif kinds == {int}:
        datatype = "INT64"
    elif kinds and kinds <= {int, float}:
        datatype = "FP64"
    else:
        datatype, flat = "BYTES", [x if isinstance(x, str) else json.dumps(x) for x in flat]
    return {"name": name, "shape": shape or [1], "datatype": datatype, "data": flat}


def from_tensor(t, index):
    if not isinstance(t, dict) or not isinstance(t.get("shape"), list) or "data" not in t:
        raise Refused(400, f"inputs[{index}]: an object with name, shape, datatype and data is wanted")
    shape, data = t["shape"], t["data"]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape):
        raise Refused(400, f"inputs[{index}].shape: a list of whole numbers is wanted")
    flat = []
    def spread(v):
        if isinstance(v, list):
            for x in v:
                spread(x)
        else:
            flat.append(v)
    spread(data)
    want = 1
    for n in shape:
        want *= n
    if want != len(flat):
        raise Refused(400, f"inputs[{index}]: the shape holds {want} values, data has {len(flat)}")
    return nest(flat, shape) if shape else flat[0]


def infer_request(body):
    """The JSON text for run(): {"data": rows} of the only input, or {"data": {name: rows}} of several."""
    try:
        request = json.loads(body)
    except ValueError as e:
        raise Refused(400, f"the body is not JSON: {e}") from None
    inputs = request.get("inputs") if isinstance(request, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise Refused(400, "inputs: a list of at least one tensor is wanted")
    rows = [from_tensor(t, i) for i, t in enumerate(inputs)]
    if len(rows) > 1:
        rows = [{str(t.get("name", i)): r for i, (t, r) in enumerate(zip(inputs, rows))}]
    return json.dumps({"data": rows[0]}), request


def infer_answer(result, request, model, version):
    if isinstance(result, str):
        try:
            result = json.loads(result)
        except ValueError:
            pass
    named = result if isinstance(result, dict) else {"output-0": result}
    wanted = [o["name"] for o in request.get("outputs") or [] if isinstance(o, dict) and o.get("name") in named]
    try:
        outputs = [to_tensor(k, named[k]) for k in (wanted or named)]
    except ValueError as e:
        raise Refused(500, f"run() returned something that is no tensor: {e}", failed=True) from None
    answer = {"model_name": model, "outputs": outputs}
    if version:
        answer["model_version"] = version
    if isinstance(request.get("id"), str):
        answer["id"] = request["id"]
    return answer


# ---- one connection -----------------------------------------------------------------------------

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "mlops-iac", ""
    timeout = 120        # seconds an idle or stuck connection is kept
    disable_nagle_algorithm = False
    wbufsize = -1        # head and body leave in one write

    def setup(self):
        super().setup()
        self.server.enter(self)

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass         # the other side has gone
        self.server.leave(self)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        self.busy = False

    def parse_request(self):
        self.busy = True
        self.ids = {}
        return super().parse_request()

    def address_string(self):
        return "-"

    def log_message(self, format, *args):
        pass

    def send_error(self, code, message=None, explain=None):
        """What BaseHTTPRequestHandler itself refuses (bad request line, huge headers), as JSON."""
        self.ids = getattr(self, "ids", {})
        self.request_version = self.protocol_version  # else a bad request line gets an answer without a head
        self.close_connection = True
        self.reply(code, {"message": message or "Bad request"})

    # -- answers --

    def reply(self, status, body, kind="application/json", extra=()):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.close_connection = self.close_connection or self.server.stopping
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (*self.ids.items(), *extra):
            self.send_header(name, value)
        self.send_header("x-ms-server-version", self.server.version)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if getattr(self, "command", None) != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()

    # -- requests --

    def read_ids(self):
        """The three request ids, checked; what comes back in the answer."""
        given = {n: self.headers.get(n, "") for n in ("x-request-id", "x-ms-request-id", "x-ms-client-request-id")}
        if not given["x-request-id"]:
            given["x-request-id"] = str(uuid.uuid4())
        for name, value in given.items():
            if len(value) > ID_LIMIT:
                raise Refused(431, f"{name} must not exceed {ID_LIMIT} characters")
        given["x-ms-client-request-id"] = given["x-ms-client-request-id"] or given["x-ms-request-id"]
        given["x-ms-request-id"] = (given["x-ms-request-id"] or given["x-ms-client-request-id"] or
                                    given["x-request-id"])
        return {n: v for n, v in given.items() if v and v.isprintable()}

    def read_body(self):
        """The whole body. On a refusal the connection ends, for what follows cannot be told apart."""
        self.close_connection, keep = True, self.close_connection
        if "transfer-encoding" in self.headers:
            if self.headers["transfer-encoding"].strip().lower() != "chunked":
                raise Refused(501, "Only the chunked transfer encoding is known")
            body = self.read_chunks()
        else:
            length = self.headers.get("content-length")
            if length is None:
                if self.command == "POST":
                    raise Refused(411, "Content-Length is missing")
                length = "0"
            if not (length.isascii() and length.isdigit()):
                raise Refused(400, "Content-Length is not a number")
            if int(length) > self.server.max_body:
                raise Refused(413, f"The body exceeds {self.server.max_body} bytes")
            body = self.rfile.read(int(length))
            if len(body) != int(length):
                raise ConnectionError("the body ended early")
        self.close_connection = keep
        return body

    def read_chunks(self):
        parts, total = [], 0
        while True:
            head = self.rfile.readline(1024).split(b";")[0].strip()
            try:
                size = int(head, 16) if head and not head.startswith((b"-", b"+")) else -1
            except ValueError:
                size = -1
            if size < 0:
                raise Refused(400, "The chunked body is malformed")
            total += size
            if total > self.server.max_body:
                raise Refused(413, f"The body exceeds {self.server.max_body} bytes")
            if size == 0:
                while self.rfile.readline(8192).strip():
                    pass  # trailers
                return b"".join(parts)
            parts.append(self.rfile.read(size))
            self.rfile.readline(8)

    def answer(self):
        try:
            self.ids = self.read_ids()
            self.body = self.read_body()
            self.route()
        except Refused as e:
            if e.status == 431:
                self.close_connection = True
            self.reply(e.status, {"message": e.message}, extra=[("x-ms-run-function-failed", "True")] if e.failed else ())
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            log("internal error: " + traceback.format_exc())
            self.reply(500, {"message": "An unexpected internal error occurred. Check the logs for more info."})

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = answer

    def route(self):
        path, _, query = self.path.partition("?")
        parts = [urllib.parse.unquote(p) for p in path.strip("/").split("/")]
        query = urllib.parse.parse_qs(query, keep_blank_values=True)
        if path in ROUTES:
            methods, answer = ROUTES[path]
        elif parts[:2] == ["v2", "models"] and len(parts) >= 3:
            methods, answer = self.model_route(parts[2:])
        else:
            raise Refused(404, "The requested URL was not found on the server.")
        if self.command not in methods:
            raise Refused(405, "Method not allowed")
        answer(self, query)

    def model_route(self, parts):
        """M, M/ready, M/infer, each also as M/versions/V/..."""
        name, rest, version = parts[0], parts[1:], ""
        if len(rest) >= 2 and rest[0] == "versions":
            version, rest = rest[1], rest[2:]
        if name != self.server.model or (version and version != self.server.model_version):
            raise Refused(404, f"No model '{name}'{' version ' + version if version else ''}; "
                               f"this is '{self.server.model}' version {self.server.model_version}")
        known = {(): (GETS, Handler.model), ("ready",): (GETS, Handler.model_ready),
                 ("infer",): (("POST",), Handler.infer)}
        if tuple(rest) not in known:
            raise Refused(404, "The requested URL was not found on the server.")
        return known[tuple(rest)]

    # -- Azure ML --

    def health(self, query):
        self.reply(200, "Healthy", "text/plain; charset=utf-8")

    def ready(self, query):
        if self.server.stopping:
            raise Refused(503, "stopping")
        self.reply(200, {"ready": True})

    def swagger(self, query):
        self.reply(200, swagger(self.server, query.get("version", ["2"])[0]))

    def score(self, query):
        if self.command == "OPTIONS":
            self.reply(200, "", extra=[("Allow", "GET, POST, OPTIONS")])
            return
        if self.command == "GET":
            raw = json.dumps({k: from_query(v) for k, v in query.items()})
        else:
            try:
                raw = self.body.decode("utf-8")
            except UnicodeDecodeError as e:
                raise Refused(400, f"Input cannot be decoded as UTF-8: {e}") from None
        result, ms = self.server.script.run(raw, self.headers)
        try:
            text = json.dumps(result)
        except (TypeError, ValueError) as e:
            log(f"run() returned something that is not JSON: {e}")
            raise Refused(500, "An unexpected error occurred in scoring script. Check the logs for more info.",
                          failed=True) from None
        self.reply(200, text, extra=[("x-ms-run-fn-exec-ms", f"{ms:.3f}")])

    # -- Open Inference Protocol --

    def v2(self, query):
        self.reply(200, {"name": "mlops-iac", "version": self.server.version, "extensions": []})

    def v2_live(self, query):
        self.reply(200, {"live": True})

    def model(self, query):
        self.reply(200, {"name": self.server.model, "versions": [self.server.model_version], "platform": "python",
                         "inputs": [], "outputs": []})

    def model_ready(self, query):
        self.reply(200, {"name": self.server.model, "ready": True})

    def infer(self, query):
        kind = self.headers.get("content-type", "application/json").split(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise Refused(415, f"Unsupported media type '{kind}'; application/json is wanted")
        raw, request = infer_request(self.body)
        result, ms = self.server.script.run(raw, self.headers)
        self.reply(200, infer_answer(result, request, self.server.model, self.server.model_version),
                   extra=[("x-ms-run-fn-exec-ms", f"{ms:.3f}")])


GETS = ("GET", "HEAD")
ROUTES = {  # path: methods, what answers
    "/": (GETS, Handler.health),
    "/ready": (GETS, Handler.ready),
    "/score": (("GET", "POST", "OPTIONS"), Handler.score),
    "/swagger.json": (GETS, Handler.swagger),
    "/v2": (GETS, Handler.v2),
    "/v2/health/live": (GETS, Handler.v2_live),
    "/v2/health/ready": (GETS, Handler.ready),
}


def from_query(values):
    """Parameters of a GET as JSON where they are JSON, else as text; several of a name become a list."""
    def one(v):
        try:
            return json.loads(v)
        except ValueError:
            return v
    return one(values[0]) if len(values) == 1 else [one(v) for v in values]


# ---- the server ---------------------------------------------------------------------------------

class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, options, script):
        self.script, self.max_body = script, options.max_body
        self.name = options.name
        self.model, self.model_version = options.model, options.model_version
        self.version = os.environ.get("HTTP_X_MS_SERVER_VERSION", options.version)
        self.stopping = False
        self.handlers, self.lock = set(), threading.Lock()
        if options.socket:
            self.address_family = socket.AF_UNIX
            if os.path.exists(options.socket):
                os.unlink(options.socket)
            old = os.umask(0o177)
            super().__init__(options.socket, Handler)
            os.umask(old)
        else:
            super().__init__(("127.0.0.1", options.port), Handler)

    def get_request(self):
        connection, _ = super().get_request()
        if self.address_family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, ("-", 0)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            log("connection failed: " + traceback.format_exc())

    def enter(self, handler):
        with self.lock:
            handler.busy = False
            self.handlers.add(handler)

    def leave(self, handler):
        with self.lock:
            self.handlers.discard(handler)

    def drain(self, grace):
        """After the listener has stopped: idle connections end, busy ones get `grace` seconds."""
        end = time.monotonic() + grace
        while time.monotonic() < end:
            with self.lock:
                left = list(self.handlers)
            if not left:
                return True
            for h in left:
                if not h.busy:
                    try:
                        h.connection.shutdown(socket.SHUT_RD)  # what has arrived is still read
                    except OSError:
                        pass
            time.sleep(0.02)
        return False


def parse(argv):
    p = argparse.ArgumentParser(description="Serves a scoring script.")
    p.add_argument("--script", required=True)
    p.add_argument("--socket", help="Unix socket to listen on")
    p.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 when there is no --socket")
    p.add_argument("--name", default="ML service")
    p.add_argument("--model", default="model")
    p.add_argument("--model-version", default="1")
    p.add_argument("--version", default="mlops-iac/1")
    p.add_argument("--concurrency", type=int, default=1, help="threads inside run() at once")
    p.add_argument("--max-body", type=int, default=100 << 20, help="bytes")
    p.add_argument("--grace", type=float, default=30, help="seconds for requests in flight at SIGTERM")
    p.add_argument("--notify-fd", type=int, default=-1, help="gets a newline once requests are taken")
    return p.parse_args(argv)


def main(argv):
    options = parse(argv)
    try:
        script = Script(options.script, options.concurrency)
        script.init()
    except SystemExit as e:
        log(str(e.code))
        return 3
    except BaseException:
        log(f"{options.script}: import or init() failed: " + traceback.format_exc())
        return 3
    server = Server(options, script)

    def stop(signum, frame):
        if not server.stopping:
            server.stopping = True
            threading.Thread(target=server.shutdown, daemon=True).start()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log(f"serving {options.script} on {options.socket or '127.0.0.1:%d' % server.server_address[1]}")
    if options.notify_fd >= 0:
        os.write(options.notify_fd, b"\n")
        os.close(options.notify_fd)
    server.serve_forever(poll_interval=0.1)
    server.socket.close()
    if options.socket and os.path.exists(options.socket):
        os.unlink(options.socket)
    clean = server.drain(options.grace)
    log("stopped" if clean else f"stopped with requests in flight after {options.grace:g} s")
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main(sys.argv[1:]))
