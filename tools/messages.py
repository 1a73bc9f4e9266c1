"""Messages of the extension's errors, read from its source. Called by reference.py.

An error is made by a constructor of src/pg/error.rs: its text is the first string there, and its hint what follows the text. What a format leaves
open is `…`. Invariant: a text that is composed elsewhere is not guessed, and left out.
"""

import re
from typing import NamedTuple

STATES = {"unsupported": "0A000", "Unsupported": "0A000", "option": "22023", "WrongState": "55000", "InUse": "55006", "Dependent": "2BP01", "Ambiguous": "42725",
          "InvalidDefinition": "42P16"}
MADE = re.compile(r"Error::(unsupported|Unsupported|option|WrongState|InUse|Dependent|Ambiguous|InvalidDefinition)\s*([({])|\b(refuse)(\()(?=\s*format!)")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
CONSTANT = re.compile(r'const (\w+): &str = "((?:[^"\\]|\\.)*)";')


class Message(NamedTuple):
    state: str
    text: str
    hint: str


def inside(text, start):
    """The text up to the parenthesis or brace that closes the one before `start`; strings are skipped."""
    depth, at = 1, start
    while at < len(text):
        if string := STRING.match(text, at):
            at = string.end()
            continue
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(text[at], 0)
        if not depth:
            return text[start:at]
        at += 1
    return text[start:]


def plain(string):
    """A string of Rust as a reader sees it."""
    string = re.sub(r"\\\n\s*", "", string).replace('\\"', '"').replace("\\\\", "\\")
    return re.sub(r"\{[^{}]*\}", "…", string.replace("{{", "{").replace("}}", "}"))


def made(text, constants):
    """Messages of one file."""
    code = text.partition("#[cfg(test)]")[0]
    code = re.sub(r"^\s*//.*$", "", code, flags=re.M)
    for match in MADE.finditer(code):
        body = inside(code, match.end())
        what = re.match(r"\s*(?:what:\s*)?(?:format!\(\s*)?\"", body)
        strings = list(STRING.finditer(body)) if what else []
        if not strings or strings[0].start() != what.end() - 1:
            continue
        _, names_hint, hint = body.partition("hint:")
        found = STRING.finditer(hint) if names_hint else strings[1:]
        hints = [plain(string[1]) for string in found if re.search(r"[.…;)]$", string[1]) and string[1][:1].isupper()]
        hints += [plain(constants[name]) for name in re.findall(r"\b[A-Z_]{3,}\b", STRING.sub("", body)) if name in constants]
        yield Message(STATES[match[1] or "unsupported"], plain(strings[0][1]), " · ".join(hints))


def of_enum(text):
    """Messages that the enum itself has, with the SQLSTATE that it says beside."""
    codes = {"UNDEFINED_TABLE": "42P01", "DUPLICATE_TABLE": "42P07", "SYNTAX_ERROR": "42601", "WRONG_OBJECT_TYPE": "42809",
             "INVALID_OBJECT_DEFINITION": "42P17", "T_R_SERIALIZATION_FAILURE": "40001", "INSUFFICIENT_PRIVILEGE": "42501",
             "FEATURE_NOT_SUPPORTED": "0A000"}
    arms = re.findall(r"((?:\|?\s*Error::\w+[^=]*?)+)=>\s*\{?\s*Code::ERRCODE_(\w+)", text.partition("fn code(")[2].partition("fn detail(")[0])
    states = {name: codes.get(code) for names, code in arms for name in re.findall(r"Error::(\w+)", names)}
    said = re.findall(r'((?:\|?\s*Error::\w+[^=]*?)+)=>\s*\{?\s*Some\(\s*"((?:[^"\\]|\\.)*)"', text.partition("fn hint(")[2])
    hints = {name: plain(hint) for names, hint in said for name in re.findall(r"Error::(\w+)", names)}
    for string, name in re.findall(r'#\[error\(\s*"((?:[^"\\]|\\.)*)"[^\]]*\)\]\s*(\w+)', text):
        if states.get(name) and plain(string) != "…":
            yield Message(states[name], plain(string), hints.get(name, ""))


def all_of(folder):
    texts = {path: path.read_text() for path in folder.rglob("*.rs") if path.name != "error.rs"}
    constants = {name: hint for text in texts.values() for name, hint in CONSTANT.findall(text)}
    found = set(of_enum((folder / "pg/error.rs").read_text()))
    return sorted(found.union(*(made(text, constants) for text in texts.values())))
