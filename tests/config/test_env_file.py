import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drctl.config.env_file import Reference, parse_env_file, quote, set_value


def read(text):
    file = parse_env_file(text, "run.env")
    assert file.problems == ()
    return {one.name: one.parts for one in file.assignments}


def text_of(line):
    (parts,) = read(line).values()
    assert all(isinstance(part, str) for part in parts)
    return "".join(parts)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("DR_A=b", "b"),
        ("export DR_A=b", "b"),
        ("  DR_A = b  ", "b"),
        ("\tDR_A=\tb", "b"),
        ("DR_A=", ""),
        ("DR_A=''", ""),
        ('DR_A=""', ""),
        ("DR_A= # nothing yet", ""),
        ("DR_A=b # why", "b"),
        ("DR_A=b#c", "b#c"),
        ("DR_A=#c", "#c"),
        ('DR_A="b # c" # why', "b # c"),
        ("DR_A='b # c'", "b # c"),
        ("DR_A=a=b==", "a=b=="),
        ("DR_A=http://h:9000/?x=1&y=2", "http://h:9000/?x=1&y=2"),
        ("DR_A=My fast  car", "My fast  car"),
        ("DR_A=0.23,-1;0.46,1", "0.23,-1;0.46,1"),
        ("DR_A=<AWS_DR_BUCKET>", "<AWS_DR_BUCKET>"),
        ("DR_A='$DR_B ${DR_B}'", "$DR_B ${DR_B}"),
        (r"DR_A=\$DR_B", "$DR_B"),
        (r'DR_A="\$5 \"x\" \\ \n"', r'$5 "x" \ \n'),
        (r"DR_A=C:\Users\me", r"C:\Users\me"),
        (r"DR_A=a\ b\#c", "a b#c"),
        ("DR_A=costs 5$", "costs 5$"),
        ("DR_A='b'\"c\"d", "bcd"),
        ("DR_A='b' 'c'", "b c"),
        ("DR_A=Zoë's".replace("'", r"\'"), "Zoë's"),
        ("\ufeffDR_A=b", "b"),
    ],
)
def test_reads_lines_as_users_wrote_them(line, value):
    assert text_of(line) == value


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("DR_A=$DR_B-1", (Reference("DR_B"), "-1")),
        ("DR_A=${DR_B}_1", (Reference("DR_B"), "_1")),
        ("DR_A=x/$DR_B/y", ("x/", Reference("DR_B"), "/y")),
        ('DR_A="$DR_B and $HOME"', (Reference("DR_B"), " and ", Reference("HOME"))),
        ("DR_A=${DR_B:-two words}", (Reference("DR_B", "two words"),)),
        ("DR_A=${DR_B:-}", (Reference("DR_B", ""),)),
    ],
)
def test_reads_references(line, parts):
    assert read(line)["DR_A"] == parts


def test_skips_comments_and_keeps_line_numbers_with_windows_line_ends():
    file = parse_env_file("# head\r\n\r\nDR_A=1\r\n  # DR_A=2\r\nDR_B=x y\r\nDR_A=3", "run.env")
    assert [(one.name, one.parts, one.line) for one in file.assignments] == [
        ("DR_A", ("1",), 3),
        ("DR_B", ("x y",), 5),
        ("DR_A", ("3",), 6),
    ]


def test_reports_every_unreadable_line():
    text = "source other.env\nDR_A='x\nDR_B=\"x\nDR_C=$(date)\nDR_D=`date`\nDR_E=${DR_A%x}\nDR-F=1\nDR_OK=1\n"
    text += "password: hunter2\n"
    file = parse_env_file(text, "run.env")
    assert [one.name for one in file.assignments] == ["DR_OK"]
    assert [(problem.where, problem.what) for problem in file.problems] == [
        ("run.env:1", "cannot read 'source ...'"),
        ("run.env:2", "DR_A: a single quote is opened and not closed"),
        ("run.env:3", "DR_B: a double quote is opened and not closed"),
        ("run.env:4", "DR_C: $( starts something that only a shell can do"),
        ("run.env:5", "DR_D: `d starts something that only a shell can do"),
        ("run.env:6", "DR_E: ${ starts something that only a shell can do"),
        ("run.env:7", "cannot read 'DR-F ...'"),
        ("run.env:9", "cannot read 'password ...'"),
    ]
    assert all(problem.expected and problem.fix for problem in file.problems)
    assert file.problems[0].expected == "NAME=value"
    assert file.problems[0].fix == "mend or delete run.env:1"
    assert file.problems[1].fix == r"close the quote, or write \', in run.env:2"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("DR_A=1\n", "DR_A=2\n"),
        ("DR_A=1", "DR_A=2"),
        ("# a\nexport  DR_A=1   # why\nDR_B=3\n", "# a\nexport  DR_A=2   # why\nDR_B=3\n"),
        ("DR_A=1\r\nDR_B=3\r\n", "DR_A=2\r\nDR_B=3\r\n"),
        ("DR_A=1\nDR_A=7\n", "DR_A=1\nDR_A=2\n"),
        ("  DR_A = 'x y' # why\n", "  DR_A=2 # why\n"),
        ("DR_A='broken\n", "DR_A=2\n"),
        ("\ufeffDR_A=1\n", "\ufeffDR_A=2\n"),
        ("DR_B=3\n", "DR_B=3\nDR_A=2\n"),
        ("DR_B=3", "DR_B=3\nDR_A=2"),
        ("DR_B=3\r\n", "DR_B=3\r\nDR_A=2\r\n"),
        ("# DR_A=9\nDR_B=3\n", "# DR_A=9\nDR_A=2\nDR_B=3\n"),
        ("DR_B=3\n#DR_A=9", "DR_B=3\n#DR_A=9\nDR_A=2"),
        ("DR_AA=3\n#DR_AAA=4\n", "DR_AA=3\n#DR_AAA=4\nDR_A=2\n"),
        ("", "DR_A=2\n"),
    ],
)
def test_set_value_changes_one_line(before, after):
    assert set_value(before, "DR_A", "2") == after


def test_set_value_takes_an_older_name_over():
    assert set_value("x\nDR_OLD=1 # why\n", "DR_NEW", "2", replacing=["DR_OLD"]) == "x\nDR_NEW=2 # why\n"


def test_set_value_keeps_references_when_asked():
    assert set_value("", "DR_A", "$DR_B-1", is_expression=True) == "DR_A=$DR_B-1\n"
    assert set_value("", "DR_A", '$DR_B "x"', is_expression=True) == 'DR_A="$DR_B \\"x\\""\n'
    assert set_value("", "DR_A", "$DR_B-1") == "DR_A='$DR_B-1'\n"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_set_value_refuses_line_breaks(value):
    with pytest.raises(ValueError, match="the value of DR_A has a line break"):
        set_value("", "DR_A", value)


values = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n\0"), max_size=20)
lines = st.sampled_from(
    ["", "# comment", "DR_B=1", "#DR_A=3", "export DR_A=4 # x", "DR_A='5 6'", "nonsense", 'DR_A="open']
)


@given(values, st.lists(lines, max_size=6), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_set_value_writes_is_read_back_and_nothing_else_changes(value, before, line_end, has_last_end):
    text = line_end.join(before) + (line_end if has_last_end else "")
    changed = set_value(text, "DR_A", value)
    last = [one for one in parse_env_file(changed, "x").assignments if one.name == "DR_A"][-1]
    assert "".join(last.parts) == value
    if line_end not in text:
        line_end = "\n"  # a text of one line has no line ends to keep
    rest = changed.split(line_end)
    written = rest.pop(last.line - 1)
    assert written.startswith(("DR_A=", "export DR_A="))
    original = text.split(line_end)
    assert rest == original or any(rest == original[:i] + original[i + 1 :] for i in range(len(original)))
    assert set_value(changed, "DR_A", value) == changed


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
def test_a_shell_reads_what_is_written():
    samples = [
        "",
        "plain",
        "two words",
        "it's",
        '"quoted"',
        "$HOME",
        "`date`",
        "a\\b",
        "x=y;z",
        "# no comment",
        'it\'s "$5" \\',
    ]
    script = "".join(f"A={quote(sample)}; printf '%s\\n' \"$A\"\n" for sample in samples)
    assert (
        subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines() == samples
    )
