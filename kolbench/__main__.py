"""`python -m kolbench`: help and lists are answered without loading what commands need."""

import sys
from contextlib import suppress

from kolbench.config import front_page


def main() -> None:
    """Answers, or runs the command line; exits with 2 where the command is wrong."""
    answer = front_page.answer(sys.argv[1:])
    if answer is None:
        from kolbench import cli

        cli.main()
        return
    # a reader such as `head` may have gone
    with suppress(BrokenPipeError):
        print(answer.text, file=sys.stderr if answer.code else sys.stdout, flush=True)
    sys.exit(answer.code)


if __name__ == "__main__":
    main()
