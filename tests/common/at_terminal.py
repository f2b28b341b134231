"""Runs a program at a terminal of its own, answers its questions, and prints all that the terminal shows.

usage: at_terminal.py ANSWER... -- PROGRAM ARGUMENT...

An answer is typed when the terminal has stopped to echo, as it does while a passphrase is asked for. Ends with the
exit code of the program.
"""

import os
import pty
import sys
import termios
import time


def is_silent(terminal):
    return not termios.tcgetattr(terminal)[3] & termios.ECHO


def main():
    split = sys.argv.index("--")
    answers, command = sys.argv[1:split], sys.argv[split + 1 :]
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    shown = b""
    for answer in answers:
        asked = shown.count(b": ")
        end = time.monotonic() + 60
        # The question is shown after the echo is off.
        while not (is_silent(terminal) and shown.count(b": ") > asked):
            if time.monotonic() > end:
                sys.exit("it does not ask")
            shown += os.read(terminal, 4096)
        os.write(terminal, answer.encode() + b"\n")
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # the program has ended
            break
        if not more:
            break
        shown += more
    if is_silent(terminal):
        sys.exit("it leaves a terminal that does not echo")
    _, status = os.waitpid(child, 0)
    sys.stdout.buffer.write(shown)
    sys.stdout.flush()
    sys.exit(os.waitstatus_to_exitcode(status))


main()
