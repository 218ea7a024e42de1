"""Writes the expressions that Terraform is asked: every function with edge cases, and the language itself.

Usage: gen.py [SEED [COUNT]]: the same seed and count give the same lines. Expressions whose answers are
known to differ are not made; README.md beside this file names them.
"""
import random
import sys

FILES = {
    "a.txt": b"hello\n",
    "t.tpl": b"x is ${x}\n",
    "list.tpl": b"%{ for i in items ~}\n- ${i}\n%{ endfor ~}\n",
    "sub/b.txt": "caf\u00e9".encode(),
    "sub/deep/c.json": b'{"a":[1,2]}',
    "bin.dat": b"\xff\xfe",
}


def q(text):
    """A quoted string of the language."""
    out = text.replace("\\", "\\\\").replace('"', '\\"')
    out = out.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return '"' + out.replace("${", "$${").replace("%{", "%%{") + '"'


STRINGS = ["", "a", "abc", "hello world", "  padded  ", "A-b_C", "caf\u00e9", "e\u0301x", "\u65e5\u672c\u8a9e",
           "line\nbreak\n", "tab\there", "1", "-2.5", "true", "false", "null", "a,b,,c", "x=1,y=22", "a.b/c",
           "quote\"s", "back\\slash", "<a&b>", "${x}", "UPPER lower", "\U0001f600!", "0x1f", "1e3", " ",
           "aaa", "foo-bar foo", "\u00df\u0130", "k", "z9"]
NUMBERS = ["0", "1", "2", "3", "-1", "-7", "10", "255", "1.5", "-2.5", "0.1", "3.14159", "1e3", "1e21", "1e-7",
           "100000", "1234567", "12345678901234567890", "0.000001", "99.999", "1/3", "2/3", "7/2", "-0.5", "5"]
INTS = ["0", "1", "2", "3", "4", "5", "-1", "-2", "7", "10", "100"]
BOOLS = ["true", "false"]
SCALARS_BAD = ["null", "[]", "{}"]
SLISTS = ["[]", '["a"]', '["b", "a", "c"]', '["a", "b", "a"]', '["x", "", "y"]', '["10", "9", "2"]',
          '["\u00e9", "e", "z"]', '[1, "a", true]', '["a", null]', 'toset(["b", "a"])', 'split(",", "p,q,r")']
NLISTS = ["[1]", "[1, 2, 3]", "[3, 1, 2, 10]", "[0.5, -1, 1e3]", '["1", "2"]', "range(4)", "[5, 5, 5]"]
LISTS = SLISTS + NLISTS + ["[[1, 2], [3]]", "[[], [[1]], 2]", "[{a = 1}, {a = 2}]", "[null]", "[true, false]"]
MAPS = ["{}", "{a = 1}", "{b = 2, a = 1}", '{a = "x", b = "y", c = ""}', "{a = [1], b = {c = 2}}",
        '{"k 1" = true, k = null}', 'tomap({x = "1", y = "2"})', '{"\u00e9" = 1, z = 2}']
TIMES = ["2018-01-02T23:12:01Z", "2017-11-22T00:00:00Z", "2020-02-29T12:05:07+05:30", "1999-12-31T23:59:59-08:00",
         "2024-06-15T06:07:08.5Z", "2000-01-01T00:00:00+00:00"]
TIMES_BAD = ["2018-13-01T00:00:00Z", "2018-02-30T00:00:00Z", "x", "2018-01-02", "2018-01-02 10:00:00Z"]
DURATIONS = ["10m", "1h", "-1h30m", "1.5h", "90s", "500ms", "24h", "0", "1h1m1s", "-0.5s", "1000000h"]
DURATIONS_BAD = ["1d", "", "h", "1", "5 m", "1h "]
PREFIXES = ["10.0.0.0/8", "172.16.0.0/12", "192.168.1.0/24", "10.1.2.3/16", "0.0.0.0/0", "10.0.0.1/32",
            "fd00:fd12:3456:7890::/56", "2001:db8::/32", "fe80::/10"]
PREFIXES_BAD = ["10.0.0.0", "10.0.0.0/33", "300.0.0.0/8", "fd00::/129", "x/8", "10.0.0/8"]
PATTERNS = ["[a-z]+", "\\d+", "(\\w+)=(\\d+)", "(?P<k>\\w)=(?P<v>\\d)", "^a", "b$", "a|b", "(a)|(b)", ".", "x*",
            "[^a-z]", "\\s", "(?i)HELLO", "l{2}", "(a+)(b+)?", "\\.", "[[:upper:]]", "\\bfoo\\b", "", "(?s)k.*",
            "[-,]", "\\w+\\s\\w+", "\\p{L}+", "(?:a)(b)", "e.*?o"]
PATTERNS_BAD = ["(", "[a", "a{2,1}", "*a", "(?=a)", "(a)\\1", "(?P<n>a)(b)", "a++"]
FORMATS = ["%s", "%q", "%v", "%5s|", "%-5s|", "%05s", "%.2s", "%#v", "a %% %s", "%t", "%d", "[%10s]"]
NUM_FORMATS = ["%d", "%5d|", "%-5d|", "%05d", "%+d", "% d", "%x", "%X", "%#x", "%o", "%#o", "%b", "%e", "%E", "%f",
               "%.2f", "%8.3f|", "%-8.1f|", "%+.1f", "%g", "%G", "%.3g", "%v", "%s", "%08.2f", "%.0f", "%.10e"]
DATE_PARTS = ["YYYY", "YY", "MMMM", "MMM", "MM", "M", "DD", "D", "EEEE", "EEE", "hh", "h", "HH", "H", "AA", "aa", "mm",
              "m", "ss", "s", "Z", "ZZZ", "ZZZZ", "ZZZZZ", "-", ":", " ", "'at'", "/", "''"]
CSVS = ["a,b\n1,2\n", "a,b\n1,2\n3,4", "a\n\"x,y\"\n", "a,b\n\"q\"\"q\",\n", "a\r\nb\r\n", "h", "a,b\n1\n", "",
        "a,a\n1,2", "a\n\"open", "x,y\n1,2\n\n3,4\n", "n\n caf\u00e9 "]
JSONS = ["{}", "[]", "null", "1.50", "-0.5e3", "\"x\"", "[1,2,{\"a\":null}]", "{\"b\":1,\"a\":[true,false]}", "[1,]", "{",
         "", "tru", "\"\\u00e9\\n\"", " [ 1 , 2 ] ", "{\"a\":{\"b\":{\"c\":[]}}}", "1 2", "12345678901234567890", "\"\\x\""]
YAMLS = ["a: 1", "- a\n- b", "a: [1, x, true]", "{a: 1, b: {c: d}}", "|\n  text\n  more\n", ">\n  fold\n  ed\n", "'single ''q'''",
         "\"dq \\n\"", "a: yes\nb: off", "a: ~\nb:", "0x1f", "0o17", "017", ".5", "1e3", "2001-01-01", "a: &x {b: 1}\nc: *x",
         "base: &b {x: 1}\nd:\n  <<: *b\n  y2: 2", "a: b: c", "[", "", "!!str 5", "1_000", "a: 'x'\n# c\nb: 2", "- - 1\n  - 2\n- k: v",
         "1: a\ntrue: b", "a: 1\na: 2", "--- 5\n...", "a: 1\n---\nb: 2", "*x", "'a': \"b\"", "plain text here", "a: -1.5e-3"]
ENCODINGS = ["UTF-8", "UTF-16LE", "UTF-16BE", "ISO-8859-1", "windows-1252", "Shift_JIS", "EUC-JP", "nope", "US-ASCII"]
# Made for this test alone, protects nothing.
KEY = """-----BEGIN RSA PRIVATE KEY-----
MIICXQIBAAKBgQDz/yjB3puXCIYw7xQ9Qp6+1z6P8v+R8WLrgCmnXAcm04VrnIG+
nPuZ2y8uJLHFxsTV0vE+wJSAixDsOz12UY1eEeItK+7laGOH6j4kry7PisM5EOqV
UHmLMQPhteCk4fsuuIGNrYAcA1FgCkcs4ojwSKsiVKzlZWERkzIN+GvTxQIDAQAB
AoGBAJE3kq1X7OhGBX/IOxZ+uPZCKxUHff4BWWtqOuBFkGgWSfkTC9FDoycd4YWo
Bzn7pBjS1AwSGBAtNGQ0mc76mJRzsirx0AmJDBT/mcRXuhcVARDK1+7AZ0GRTEXk
wBqKoN6cX1AusYg9KnoaDHznBlWiIFo0t9mDDQjKjWHAxUhdAkEA/M1cfHZV0Yyt
6OCLAF29WNhqPp20QwycEqCtIgGPOlH0jNd8QaWoNS4t5HUSwpHghwE0IRXTCOwa
2f5rwiXvmwJBAPcVSJVNp5IhHVVWaEjXKA583jgwr52iKYw7NtQjjqMkj/18WECB
PrXeUA2V1PpAQ4tOlLD5a7HBidJsVOcAcB8CQQDUiOqqkOpRhE5prO3v3t9jpH6e
KgP1ItLMLl2ga2M5CtHo3vlOT7F9FFfs7ChbgD0eA3sKHckQhT+F6oo57Z7lAkBj
ctOWFH1f2ag+0tqChub+fc/Lef0VS1HBuYul8vHUREEYW9YBkIO3G9XIwgfI+di1
11kNqjZog2d/pE6/83MtAkAvlbyu6+g399eyRReM3dSoYBvynPkCl5OAGnaeAdiN
/8Lc2emX0itL2pd/7N8AvtwxT1ZeCuR8BfRVfHdFWADp
-----END RSA PRIVATE KEY-----
"""
CIPHER = "oCQ9uhdOsKkwrS8KQaA2J28EpSsGZabVrYbuRnEcmzNaHxoy9S4SezCD0fH9mh0/pfWgtoCGaK3GKpEA7py4a3Oeuuauudlad2Wz8NGMUrO7Yp1DLfcuB8EAx1GAtCm2ldEnZ994+XmeVW7mLgCi5BsCvAtOlBCAwr/3o9WaCAs="
TYPES = ["tostring", "tonumber", "tobool", "tolist", "toset", "tomap"]

# Placeholders: {S} string {N} number {I} whole number {B} bool {L} list {SL} list of strings {NL} list of numbers
# {M} map {X} anything {T} time {D} duration {P} prefix {R} pattern {SEP} separator.
CALLS = {
    "abs": ["abs({N})", "abs({S})"],
    "abspath": ["abspath(\"/a/../b\")", "abspath(\"/x//y/./z\")", "abspath(\"/\")", "abspath(\"/a/b/\")"],
    "alltrue": ["alltrue([{B}, {B}])", "alltrue([])", "alltrue([{B}, null])", "alltrue([{S}])"],
    "anytrue": ["anytrue([{B}, {B}])", "anytrue([])", "anytrue([null, {B}])", "anytrue([{S}])"],
    "base64decode": ["base64decode(base64encode({S}))", "base64decode({S})"],
    "base64encode": ["base64encode({S})", "base64encode({N})"],
    "base64gzip": ["startswith(base64gzip({S}), \"H4sI\")"],
    "base64sha256": ["base64sha256({S})"],
    "base64sha512": ["base64sha512({S})"],
    "basename": ["basename({S})", "basename(\"a/b/c.txt\")", "basename(\"/\")", "basename(\"a//b//\")"],
    "bcrypt": ["length(bcrypt({S}, 4))", "length(bcrypt(\"x\", 3))", "bcrypt(\"x\", 4, 4)"],
    "can": ["can(tonumber({S}))", "can({X}.a)", "can({L}[{I}])", "can(regex({R}, {S}))"],
    "ceil": ["ceil({N})"],
    "chomp": ["chomp({S})", "chomp(\"a\\r\\n\\n\")"],
    "chunklist": ["chunklist({L}, {I})", "chunklist({NL}, 2)"],
    "cidrhost": ["cidrhost({P}, {I})"],
    "cidrnetmask": ["cidrnetmask({P})"],
    "cidrsubnet": ["cidrsubnet({P}, {U}, {U})"],
    "cidrsubnets": ["cidrsubnets({P}, {U}, {U}, {U})", "cidrsubnets({P}, 4)"],
    "coalesce": ["coalesce({X}, {X})", "coalesce(\"\", {S}, {S})", "coalesce(null, {N})", "coalesce({N}, {S})"],
    "coalescelist": ["coalescelist({L}, {L})", "coalescelist([], {SL})"],
    "compact": ["compact({SL})", "compact({L})"],
    "concat": ["concat({TL}, {TL})", "concat([], {TL}, [{X}])", "concat({S})"],
    "contains": ["contains({L}, {X})", "contains({SL}, {S})", "contains({NL}, {N})"],
    "csvdecode": ["csvdecode({CSV})"],
    "dirname": ["dirname({S})", "dirname(\"a/b/c.txt\")", "dirname(\"/a\")", "dirname(\"a//b//\")"],
    "distinct": ["distinct({L})", "distinct({SL})"],
    "element": ["element({L}, {I})", "element({SL}, {N})"],
    "endswith": ["endswith({S}, {S})"],
    "file": ["file(\"a.txt\")", "file(\"sub/b.txt\")", "file(\"none\")", "file(\"bin.dat\")", "file(\"sub\")",
             "file(\"sub/../a.txt\")"],
    "filebase64": ["filebase64(\"bin.dat\")", "filebase64(\"a.txt\")", "filebase64(\"none\")"],
    "filebase64sha256": ["filebase64sha256(\"a.txt\")", "filebase64sha256(\"bin.dat\")"],
    "filebase64sha512": ["filebase64sha512(\"a.txt\")"],
    "fileexists": ["fileexists(\"a.txt\")", "fileexists(\"none\")", "fileexists(\"sub\")", "fileexists(\"sub/b.txt\")"],
    "filemd5": ["filemd5(\"a.txt\")", "filemd5(\"none\")"],
    "fileset": ["fileset(\".\", \"*.txt\")", "fileset(\".\", \"**/*.txt\")", "fileset(\"sub\", \"*\")",
                "fileset(\"sub\", \"**\")", "fileset(\".\", \"*.{txt,dat}\")", "fileset(\"sub\", \"**/*.json\")",
                "fileset(\".\", \"?.t*\")", "fileset(\".\", \"[a-b]*\")", "fileset(\"none\", \"*\")",
                "fileset(\".\", \"sub/*\")", "fileset(\".\", \"[!a]*\")"],
    "filesha1": ["filesha1(\"a.txt\")"],
    "filesha256": ["filesha256(\"a.txt\")", "filesha256(\"bin.dat\")"],
    "filesha512": ["filesha512(\"a.txt\")"],
    "flatten": ["flatten({L})", "flatten([{L}, {L}])", "flatten([{L}, [[{L}]]])", "flatten({S})"],
    "floor": ["floor({N})"],
    "format": ["format({F}, {S})", "format({NF}, {N})", "format({NF}, {I})", "format(\"%s-%d\", {S}, {I})",
               "format(\"%v %v\", {XV}, {XV})", "format(\"%[2]s %[1]s\", {S}, {S})", "format({F}, {X})", "format({S}, {N})"],
    "formatdate": ["formatdate({DF}, {T})", "formatdate({DF}, {T})", "formatdate({S}, {T})"],
    "formatlist": ["formatlist(\"%s-%s\", {SL}, {S})", "formatlist(\"%v/%v\", {SL}, {NL})", "formatlist(\"%d\", {NL})",
                   "formatlist(\"%s\", {L})"],
    "indent": ["indent({I}, {S})"],
    "index": ["index({L}, {X})", "index({SL}, {S})"],
    "issensitive": ["issensitive(sensitive({X}))", "issensitive({X})", "issensitive(upper(sensitive({S})))",
                    "issensitive([sensitive({S})])", "issensitive(length([sensitive({S})]))"],
    "join": ["join({SEP}, {SL})", "join({SEP}, {L})", "join({SEP}, {SL}, {SL})", "join({SEP}, {NL})"],
    "jsondecode": ["jsondecode({J})", "jsondecode(jsonencode({X}))"],
    "jsonencode": ["jsonencode({X})", "jsonencode([{X}, {X}])", "jsonencode({k = {X}})"],
    "keys": ["keys({M})", "keys({X})"],
    "length": ["length({X})", "length({S})", "length({L})"],
    "log": ["log({NZI}, {NZI})", "log(16, 2)", "log({N}, 10)"],
    "lookup": ["lookup({M}, {K}, {S})", "lookup({M}, {K})", "lookup({M}, {K}, {X})"],
    "lower": ["lower({S})"],
    "matchkeys": ["matchkeys({SL}, {SL}, {SL})", "matchkeys([\"a\", \"b\", \"c\"], [1, 2, 1], {NL})"],
    "max": ["max({N}, {N})", "max({N})", "max({N}, {N}, {S})"],
    "md5": ["md5({S})"],
    "merge": ["merge({M}, {M})", "merge({M}, null, {M})", "merge()", "merge({M}, {X})"],
    "min": ["min({N}, {N})", "min({N})", "min({N}, {N}, {S})"],
    "nonsensitive": ["nonsensitive(sensitive({X}))", "nonsensitive({X})"],
    "one": ["one({L})", "one([{X}])", "one([])", "one(toset({SL}))"],
    "parseint": ["parseint({S}, {BASE})", "parseint(\"ff\", {BASE})", "parseint(\"1010\", {BASE})", "parseint(\"-7z\", {BASE})"],
    "pathexpand": ["pathexpand(\"/a/b\")", "pathexpand(\"a\")", "pathexpand(\"~nobody/x\")", "pathexpand(\"\")"],
    "pow": ["pow({I}, {I})", "pow({N}, 2)", "pow(2, {I})"],
    "range": ["range({I})", "range({I}, {I})", "range({I}, {I}, {I})", "range(0, 1, 0.25)"],
    "regex": ["regex({R}, {S})", "regex({R}, {S})", "regex({R}, \"x=1,hello foo b\")"],
    "regexall": ["regexall({R}, {S})", "regexall({R}, {S})", "regexall({R}, \"x=1,y=2 hello foo aabb\")"],
    "replace": ["replace({S}, {S}, {S})", "replace({S}, \"/[a-c]/\", \"<$0>\")", "replace({S}, \"/(l+)(o)?/\", \"$2$1\")",
                "replace(\"hello world\", \"/(?P<x>o)/\", \"[$x]\")", "replace({S}, \"\", {SEP})", "replace({S}, \"/x*/\", \"-\")",
                "replace({S}, \"/(\\\\w)(\\\\w)/\", \"$$${2}$$${q}\")"],
    "reverse": ["reverse({L})", "reverse({SL})"],
    "rsadecrypt": ["rsadecrypt({CIPHER}, {KEY})", "rsadecrypt({S}, {KEY})", "rsadecrypt({CIPHER}, {S})"],
    "sensitive": ["nonsensitive(upper(sensitive({S})))", "nonsensitive(sensitive({L}))", "issensitive(sensitive({L})[0])"],
    "setintersection": ["setintersection({SL}, {SL})", "setintersection({NL}, {NL}, {NL})", "setintersection({L}, {L})"],
    "setproduct": ["setproduct({SL}, {NL})", "setproduct({SL}, [true], {SL})", "setproduct([], {SL})", "setproduct({SL})"],
    "setsubtract": ["setsubtract({SL}, {SL})", "setsubtract({NL}, {NL})", "setsubtract({L}, {L})"],
    "setunion": ["setunion({SL}, {SL})", "setunion({NL}, {SL})", "setunion({SL})", "setunion({L}, {L})"],
    "sha1": ["sha1({S})"],
    "sha256": ["sha256({S})"],
    "sha512": ["sha512({S})"],
    "signum": ["signum({I})", "signum({N})"],
    "slice": ["slice({L}, {I}, {I})", "slice({NL}, 0, {I})"],
    "sort": ["sort({SL})", "sort({NL})", "sort({L})"],
    "split": ["split({SEP}, {S})", "split({S}, {S})", "split(\"\", {S})"],
    "startswith": ["startswith({S}, {S})", "startswith({S}, \"a\")"],
    "strcontains": ["strcontains({S}, {S})", "strcontains({S}, \"o\")"],
    "strrev": ["strrev({S})"],
    "substr": ["substr({S}, {I}, {I})", "substr({S}, 1, -1)", "substr({S}, -2, 2)"],
    "sum": ["sum({NL})", "sum({L})", "sum([{N}, {N}, {N}])"],
    "templatefile": ["templatefile(\"t.tpl\", {x = {X}})", "templatefile(\"list.tpl\", {items = {L}})",
                     "templatefile(\"t.tpl\", {})", "templatefile(\"a.txt\", {M})"],
    "textdecodebase64": ["textdecodebase64(textencodebase64({S}, {E}), {E})", "textdecodebase64(\"6Q==\", {E})"],
    "textencodebase64": ["textencodebase64({S}, {E})"],
    "timeadd": ["timeadd({T}, {D})"],
    "timecmp": ["timecmp({T}, {T})"],
    "timestamp": ["length(timestamp())"],
    "title": ["title({S})"],
    "tobool": ["tobool({S})", "tobool({X})"],
    "tolist": ["tolist({L})", "tolist([{X}, {X}])", "tolist(toset({SL}))", "tolist({X})"],
    "tomap": ["tomap({M})", "tomap({a = {X}, b = {X}})"],
    "tonumber": ["tonumber({S})", "tonumber({X})", "tonumber(\"{N}\")"],
    "toset": ["toset({L})", "toset([{X}, {X}])", "toset({NL})"],
    "tostring": ["tostring({X})", "tostring({N})"],
    "transpose": ["transpose({a = {SL}, b = {SL}})", "transpose({x = [\"1\", \"2\"], y = [\"2\"]})", "transpose({M})"],
    "trim": ["trim({S}, {S})", "trim({S}, \" a\")"],
    "trimprefix": ["trimprefix({S}, {S})", "trimprefix(\"abcabc\", \"abc\")"],
    "trimspace": ["trimspace({S})", "trimspace(\" \\t{N}\\n \")"],
    "trimsuffix": ["trimsuffix({S}, {S})", "trimsuffix({S}, \"o\")"],
    "try": ["try({X}.a, {X})", "try({L}[{I}], \"none\")", "try(tonumber({S}), {N})", "try({X}.x.y, {X}[0], {S})"],
    "upper": ["upper({S})"],
    "urlencode": ["urlencode({S})", "urlencode(\"a b&c=d/~*'()\")"],
    "uuid": ["length(uuid())"],
    "uuidv5": ["uuidv5(\"dns\", {S})", "uuidv5(\"url\", {S})", "uuidv5(\"oid\", {S})", "uuidv5(\"x500\", {S})", "uuidv5({S}, \"x\")"],
    "values": ["values({M})", "values({X})"],
    "yamldecode": ["yamldecode({Y})", "yamldecode({Y})"],
    "yamlencode": ["yamlencode({X})", "yamlencode({a = {X}, b = [{X}, {X}]})", "yamldecode(yamlencode({X}))"],
    "zipmap": ["zipmap({SL}, {NL})", "zipmap({SL}, {SL})", "zipmap([\"a\", \"b\"], [{X}, {X}])"],
    "ephemeralasnull": ["ephemeralasnull({X})"],
}

LANGUAGE = [
    "{N} + {N}", "{N} - {N}", "{N} * {N}", "{N} / 3", "{N} / 7 * 7", "{N} % 3", "{N} < {N}", "{N} >= {N}", "-{N}",
    "({N} + {N}) * {N}", "{N} + {N} * {N} - {N}", "{X} == {X}", "{S} == {S}", "{N} == {N}", "{S} != {S}", "{N} + {S}", "!{B}",
    "{B} && {B}", "{B} || {B}", "{B} && !{B} || {B}", "{B} ? {S} : {S}", "{B} ? {N} : {S}", "{B} ? {N} : {N}", "{B} ? null : {X}",
    "{B} ? {NL} : {SL}", "{B} ? [] : {SL}", "{B} ? {B} : {N}", "{B} ? {S} : []", "{X} ? 1 : 2", "{N} > 1 ? {S} : {N} > 0 ? {S} : {S}",
    "\"${{S}}-${{N}}\"", "\"a ${{X}} b\"", "\"${{X}}\"", "\"%{ if {B} }yes%{ else }no%{ endif }\"", "\"%{ if {N} > 1 }big%{ endif }.\"",
    "\"%{ for v in {L} }<${v}>%{ endfor }\"", "\"%{ for k, v in {M} }${k};%{ endfor }\"", "\"x  ${~ {N} ~}  y\"",
    "\"%{ for v in {NL} ~}  ${v}  %{~ endfor }\"", "\"$${x} %%{y} $x %y\"", "\"a${\"b${\"c${{S}}\"}\"}\"",
    "[for v in {L} : v]", "[for v in {NL} : v * 2 if v > 1]", "[for i, v in {SL} : \"${i}=${v}\"]", "{for v in {SL} : v => upper(v)}",
    "{for i, v in {SL} : v => i...}", "{for k, v in {M} : k => v}", "[for k, v in {M} : k]", "{for k, v in {M} : upper(k) => v if k != \"a\"}",
    "[for v in {X} : v]", "[for x in [[1, 2], [3]] : [for y in x : y + length(x)]]", "{for v in {L} : jsonencode(v) => v...}",
    "{L}[{I}]", "{M}[{K}]", "{M}.a", "{X}.a", "{X}[0]", "{L}[*]", "[{M}, {a = 9}][*].a", "[{a = {b = 1}}, {a = {b = 2}}].*.a.b",
    "[[1, 2], [3, 4]][*][1]", "{X}[*]", "[{a = [{b = 1}, {b = 2}]}, {a = []}][*].a[*].b", "{a = {X}, \"b c\" = {N}, (upper(\"d\")) = {S}}",
    "{a = 1, b = {X}}.b", "[{X}, {X}][1]", "max({NL}...)", "concat([[{S}], [{N}]]...)", "coalesce({SL}...)", "format(\"%s %s\", [\"a\", {S}]...)",
    "length({SL}) > 1 && {SL}[0] == \"a\"", "{NL} == {NL}", "{TL} == {TL}", "{M} == {M}", "null == {X}", "({X})", "[{X}, ]",
    "{for s in [\"ab\", \"ac\", \"b\"] : substr(s, 0, 1) => s...}", "upper({X})", "core::upper({S})", "length({X}[*])", "{N} + {N} == {N}",
    "[for s in toset({SL}) : s]", "[for k, v in toset({SL}) : \"${k}${v}\"]", "{B} == {B}", "0.1 + 0.2 + {N}", "{N} * 0.1", "1 / {NZ}",
    "({N} + 1) / {NZ}", "{NZ} % {NZ}", "{I} * 12345678901234567890", "\"\\u00e9\\U0001F600\\t\" == {S}", "{a: 1, b : {N}}",
    "try({X}.a.b.c, {X}[\"a\"][0], \"fallback\")", "can({X}.a) ? 1 : {S}", "!{X}", "-{X}", "{X} + 1", "{X} && true", "{S} < {N}",
]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, items):
        return items[self.random.randrange(len(items))]

    def rarely(self, bad, good, odds=8):
        return self.pick(bad) if self.random.randrange(odds) == 0 else self.pick(good)

    def fill(self, name):
        r = self.random
        makers = {
            "S": lambda: q(self.pick(STRINGS)) if r.randrange(20) else self.pick(SCALARS_BAD),
            "N": lambda: self.pick(NUMBERS), "I": lambda: self.pick(INTS), "U": lambda: self.pick(INTS[:6] + ["8", "16"]),
            "NZ": lambda: self.pick(NUMBERS[1:]), "NZI": lambda: self.pick(INTS[2:]), "B": lambda: self.pick(BOOLS),
            "L": lambda: self.pick(LISTS), "SL": lambda: self.pick(SLISTS), "NL": lambda: self.pick(NLISTS),
            "TL": lambda: self.pick([x for x in LISTS if x[0] == "["]), "M": lambda: self.pick(MAPS),
            "X": lambda: self.pick([q(self.pick(STRINGS)), self.pick(NUMBERS), self.pick(BOOLS), self.pick(LISTS),
                                    self.pick(MAPS), "null"]),
            "XV": lambda: self.pick([q(self.pick(STRINGS)), self.pick(NUMBERS), self.pick(BOOLS), self.pick(LISTS), self.pick(MAPS)]),
            "T": lambda: q(self.rarely(TIMES_BAD, TIMES)), "D": lambda: q(self.rarely(DURATIONS_BAD, DURATIONS)),
            "P": lambda: q(self.rarely(PREFIXES_BAD, PREFIXES)), "R": lambda: q(self.rarely(PATTERNS_BAD, PATTERNS)),
            "SEP": lambda: q(self.pick([",", "-", "", ", ", "ab", "\n"])), "K": lambda: self.pick(['"a"', '"b"', '"zz"', '"k 1"', '"x"']),
            "F": lambda: q(self.pick(FORMATS)), "NF": lambda: q(self.pick(NUM_FORMATS)),
            "DF": lambda: q("".join(self.pick(DATE_PARTS) + self.pick(["", "-", " "]) for _ in range(r.randrange(1, 5)))),
            "CSV": lambda: q(self.pick(CSVS)), "J": lambda: q(self.pick(JSONS)), "Y": lambda: q(self.pick(YAMLS)),
            "E": lambda: q(self.pick(ENCODINGS)), "BASE": lambda: self.pick(["2", "8", "10", "16", "36", "62", "1", "63"]),
            "KEY": lambda: q(KEY), "CIPHER": lambda: q(CIPHER),
        }
        return makers[name]()

    def make(self, template):
        out, i = "", 0
        while i < len(template):
            end = template.find("}", i)
            name = template[i + 1:end] if template[i] == "{" and end > 0 else ""
            if name.isupper() and name.isalpha():
                out += self.fill(name)
                i = end + 1
            else:
                out += template[i]
                i += 1
        return out


def expressions(seed=1, count=2600):
    maker, seen, out = Maker(seed), set(), []

    def add(template):
        e = maker.make(template)
        if "${{" in e: # belongs to Azure ML here
            return
        if e not in seen and "\t" not in e and "\n" not in e:
            seen.add(e)
            out.append(e)

    for templates in CALLS.values():
        for template in templates:
            add(template)
    for template in LANGUAGE:
        add(template)
    tries = 0
    names = sorted(CALLS)
    while len(out) < count and tries < count * 20:
        tries += 1
        if tries % 3 == 0:
            add(maker.pick(LANGUAGE))
        else:
            add(maker.pick(CALLS[names[tries % len(names)]]))
    return out


if __name__ == "__main__":
    arguments = [int(x) for x in sys.argv[1:]]
    for line in expressions(*arguments):
        print(line)
