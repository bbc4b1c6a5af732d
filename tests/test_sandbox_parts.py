"""The sandbox's parts that need no process: the filter's tables and program, frames, captured output, deletion."""

import errno
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.sandbox import cell, seccomp, syscalls, wire
from solver.sandbox.output import OutputCapture
from solver.sandbox.remove import remove_tree

HEADERS = {
    "x86_64": (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), syscalls.X86_64),
    "aarch64": (Path("/usr/include/asm-generic/unistd.h"), syscalls.AARCH64),
}
EXTRACTED = json.loads((Path(__file__).with_name("data") / "syscalls.json").read_text("utf-8"))
ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
OWN = 77


def judge(machine: str, number: int, arguments: tuple[int, ...] = (), arch: int | None = None, **options: bool) -> int:
    """What the filter says, by an interpreter of the few BPF instructions it is made of."""
    words = {0: number, 4: ARCHES[machine] if arch is None else arch}
    for index in range(6):
        value = arguments[index] if index < len(arguments) else 0
        words[16 + 8 * index] = value & 0xFFFFFFFF
    program = seccomp.program(machine, OWN, **options)
    at = register = 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            register = words[operand]
        elif code == 0x54:
            register &= operand
        else:
            holds = {0x15: register == operand, 0x25: register > operand, 0x45: bool(register & operand)}[code]
            at += if_true if holds else if_false


def refused(number: int) -> int:
    return 0x00050000 | number


@pytest.mark.parametrize("machine", HEADERS)
def test_the_table_of_system_calls_agrees_with_the_kernels_headers(machine: str) -> None:
    path, table = HEADERS[machine]
    if not path.exists():
        pytest.skip("the package linux-libc-dev is not installed")
    pattern = r"#define __NR(?:3264)?_(\w+)\s+(\d+)"
    header = {name: int(number) for name, number in re.findall(pattern, path.read_text("ascii", "replace"))}
    assert {name: header[name] for name in table} == table


@pytest.mark.parametrize("machine", HEADERS)
def test_the_table_of_system_calls_agrees_with_numbers_extracted_from_the_headers(machine: str) -> None:
    table = HEADERS[machine][1]
    assert table == {name: EXTRACTED[machine][name] for name in table}


@pytest.mark.parametrize("machine", HEADERS)
def test_every_call_that_the_filter_names_is_in_the_table_or_known_to_be_absent(machine: str) -> None:
    named = set(f"{seccomp._DENIED} {seccomp._FILE_NAMES}".split()) | set(seccomp._argument_rules(1))
    absent = {name for name in named if name not in HEADERS[machine][1]}
    assert absent <= set() if machine == "x86_64" else all(name not in EXTRACTED[machine] for name in absent)


@pytest.mark.parametrize("machine", HEADERS)
@pytest.mark.parametrize(
    "name", ["socket", "execve", "ptrace", "unshare", "fchmodat", "memfd_create", "io_uring_setup"]
)
def test_calls_on_the_list_are_refused(machine: str, name: str) -> None:
    assert judge(machine, HEADERS[machine][1][name]) == refused(errno.EPERM)


@pytest.mark.parametrize("machine", HEADERS)
def test_every_other_known_call_is_allowed(machine: str) -> None:
    named = set(HEADERS[machine][1])
    for name in set(EXTRACTED[machine]) - named:
        assert judge(machine, EXTRACTED[machine][name]) == ALLOW, name


@pytest.mark.parametrize("machine", HEADERS)
def test_only_own_signals_threads_and_stream_pairs_pass(machine: str) -> None:
    table = HEADERS[machine][1]
    no = refused(errno.EPERM)
    assert judge(machine, table["kill"], (OWN, 9)) == ALLOW
    assert judge(machine, table["kill"], (OWN + 1, 9)) == no
    assert judge(machine, table["kill"], (-1, 9)) == no
    assert judge(machine, table["kill"], (0, 9)) == no
    assert judge(machine, table["tgkill"], (1, 1, 9)) == no
    assert judge(machine, table["clone"], (0x3D0F00,)) == ALLOW  # pthread_create
    assert judge(machine, table["clone"], (17,)) == no  # fork
    assert judge(machine, table["clone3"]) == refused(errno.ENOSYS)
    assert judge(machine, table["socketpair"], (1, 1 | 0o2000000)) == ALLOW
    assert judge(machine, table["socketpair"], (1, 2)) == no
    assert judge(machine, table["socketpair"], (2, 1)) == no
    assert judge(machine, table["prctl"], (15,)) == ALLOW
    assert judge(machine, table["prctl"], (1,)) == no
    assert judge(machine, table["fcntl"], (0, 8, 1)) == no
    assert judge(machine, table["fcntl"], (0, 3)) == ALLOW
    assert judge(machine, table["ioctl"], (0, 0x5401)) == ALLOW
    assert judge(machine, table["ioctl"], (0, 0x5412)) == no
    assert judge(machine, table["prlimit64"], (0,)) == ALLOW
    assert judge(machine, table["prlimit64"], (1,)) == no


@pytest.mark.parametrize("machine", HEADERS)
def test_a_file_may_be_opened_but_not_emptied_by_reading(machine: str) -> None:
    number = HEADERS[machine][1]["openat"]
    assert judge(machine, number, (0, 0, 0)) == ALLOW
    assert judge(machine, number, (0, 0, 0o1000)) == refused(errno.EPERM)
    assert judge(machine, number, (0, 0, 0o1001)) == ALLOW
    assert judge(machine, number, (0, 0, 0), deny_file_names=True) == refused(errno.EPERM)


@pytest.mark.parametrize("machine", HEADERS)
def test_another_convention_is_the_end_and_a_newer_call_unknown(machine: str) -> None:
    assert judge(machine, 0, arch=0x40000003) == KILL
    assert judge(machine, syscalls.NEWEST + 1) == refused(errno.ENOSYS)
    if machine == "x86_64":
        assert judge(machine, 0x40000000 + 57) == KILL


def test_no_other_architecture_is_claimed() -> None:
    assert seccomp.is_supported("x86_64")
    assert seccomp.is_supported("aarch64")
    assert not seccomp.is_supported("riscv64")


@given(st.binary(max_size=200))
def test_a_frame_of_any_bytes_is_a_value_or_a_value_error(body: bytes) -> None:
    try:
        message = wire.unpack(body)
    except ValueError:
        return
    assert isinstance(message, dict)


def test_a_frame_that_is_too_long_or_too_deep_is_refused() -> None:
    with pytest.raises(ValueError, match="megabyte"):
        wire.body_length(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="deep"):
        wire.unpack(b"[" * 100_000)


@given(st.lists(st.text(alphabet="ab é√\n", max_size=40), max_size=20), st.integers(3, 60))
def test_captured_output_keeps_head_and_tail_and_counts_what_it_left_out(parts: list[str], limit: int) -> None:
    capture, text = OutputCapture(limit), "".join(parts)
    for part in parts:
        capture.feed(part.encode())
    shown = capture.finish()
    if len(text) <= limit:
        assert shown == text.strip("\n")
    else:
        head = limit * 2 // 3
        tail = text[head - limit :]
        expected = f"{text[:head]}\n[... {len(text) - limit:,} characters left out ...]\n{tail}"
        assert shown == expected.rstrip("\n")


def test_captured_characters_may_be_split_between_reads() -> None:
    capture = OutputCapture(100)
    for byte in "√é".encode():
        capture.feed(bytes([byte]))
    assert capture.finish("note") == "√é\nnote"


@pytest.mark.parametrize(
    ("code", "plain", "notes"),
    [("!ls\nx", "pass\nx", 1), ("  %time", "  pass", 1), ("x = 5 % 3", "x = 5 % 3", 0), ("%%time\nx", "pass\nx", 1)],
)
def test_lines_that_are_not_python_become_notes(code: str, plain: str, notes: int) -> None:
    assert cell.without_magics(code)[0] == plain
    assert len(cell.without_magics(code)[1]) == notes


def test_deletion_follows_no_link_and_minds_no_depth(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x", "ascii")
    top = tmp_path / "top"
    deep = top
    for _ in range(300):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "file").write_text("x", "ascii")
    (top / "link").symlink_to(outside)
    (top / "d" / "link").symlink_to(outside)
    (top / "shut").mkdir(mode=0)
    remove_tree(str(top))
    assert not top.exists()
    assert (outside / "kept").exists()
