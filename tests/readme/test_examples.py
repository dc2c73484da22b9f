"""The comparison of printed answers reports differences and nothing else."""

from __future__ import annotations

import pytest

from tests.readme.examples import blocks, cut_as, difference, examples, formatted, with_state

PAGE = """
```sh
curl http://x    # a comment
{"a":1}

make one && make two
```
```text
curl nothing
```

<!-- not run: needs a network -->
```sh
curl http://y
```
"""


def test_commands_and_their_answers() -> None:
    """Lines below a command are its answer; other blocks and marked ones are left out."""
    asked, made = examples(PAGE)
    assert asked.calls == [["curl", "http://x"]]
    assert asked.answer == ('{"a":1}',)
    assert made.calls == [["make", "one"], ["make", "two"]]
    assert made.answer == ()
    assert [block.not_run for block in blocks(PAGE)] == ["", "", "needs a network"]


@pytest.mark.parametrize(
    ("printed", "came"),
    [
        ('{"p":0.1034}', '{"p":0.10341999}'),
        ('{"p":0.1034,"n":[1,null]}', '{"p":0.10336,"n":[1,null]}'),
        ('{"p":-29.39}', '{"p":-29.394}'),
        ('{"state":"abc ..."}', '{"state":"abc ..."}'),
        ('{"models":[{"na ...', '{"models":[{"name":"x"}]}'),
        ("# HELP unroll_requests ...", "# HELP unroll_requests_total Requests"),
        ('data: {"text":"a"}', 'data: {"text":"a"}'),
    ],
)
def test_answers_that_agree(printed: str, came: str) -> None:
    """Numbers agree as far as they are printed, and cut text as far as it goes."""
    assert difference((printed,), [came]) == ""


@pytest.mark.parametrize(
    ("printed", "came"),
    [
        ('{"p":0.1034}', '{"p":0.10351}'),
        ('{"p":0.1034}', '{"p":0.1034,"q":1}'),
        ('{"p":0.1034,"q":1}', '{"p":0.1034}'),
        ('{"n":1}', '{"n":2}'),
        ('{"n":1}', '{"n":true}'),
        ('{"n":[1,2]}', '{"n":[1]}'),
        ('{"text":"a"}', '{"text":"b"}'),
        ('{"text":"a"}', "error"),
        ('data: {"text":"a"}', '{"text":"a"}'),
        ('{"models":[{"na ...', '{"models":[]}'),
    ],
)
def test_answers_that_differ(printed: str, came: str) -> None:
    """Another digit, name, type or line is a difference."""
    assert difference((printed,), [came])
    assert difference((printed,), [])


def test_answers_are_written_as_they_are_printed() -> None:
    """Four digits, no blank lines, the beginning of a state, and a cut where one was."""
    answer = 'data: {"p": 0.123456, "state": "abcdefghijklmnop"}\n\n'
    assert formatted(answer) == ['data: {"p":0.1235,"state":"abcdefghijkl ..."}']
    assert cut_as(("ab ...",), ["abcdef"]) == ["ab ..."]
    assert cut_as(("ab",), ["abcdef"]) == ["abcdef"]
    assert with_state('{"state": "abc ...", "n": 1}', "whole") == '{"state": "whole", "n": 1}'
