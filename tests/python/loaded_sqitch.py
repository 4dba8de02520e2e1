"""Runs stock Sqitch in processes forked from one that has its modules loaded.

Half of what a short command of Sqitch costs is the loading of its modules. What runs is the same:
the modules of the program that is installed, called as its own script calls them.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["run"]

# As /usr/bin/sqitch begins (-w -CAS: arguments and standard streams are UTF-8), but for the fork.
_SERVE = r"""
use POSIX qw(setlocale); use JSON::PP;
# Runs last, as it stands first: to take everything apart takes longer than most commands.
my $forked; END { if ($forked) { my $code = $?; close STDOUT; close STDERR; POSIX::_exit($code) } }
# Config::GitLike asks the program pwd, once for each file that it looks for.
use Cwd; BEGIN { no warnings 'redefine'; *Cwd::cwd = \&Cwd::getcwd }
use App::Sqitch;
use App::Sqitch::Engine::pg; use App::Sqitch::Target; use App::Sqitch::Plan; use DBD::Pg;
use App::Sqitch::Command::deploy; use App::Sqitch::Command::revert;
use App::Sqitch::Command::verify; use App::Sqitch::Command::status;
use App::Sqitch::Command::add; use App::Sqitch::Command::tag;
use App::Sqitch::Command::rework;
# What each of them loads only when it comes to it, which takes longest of all. Not what decides
# about colours when it is loaded.
use App::Sqitch::DateTime; use DateTime::TimeZone::Local;
use Digest::SHA; use URI::pg; use PerlIO::utf8_strict;
App::Sqitch::DateTime->now->as_string;  # a first one: locales, and the code of its parameters
$| = 1;
while (my $line = <STDIN>) {
    my ($folder, $env, $out, $err, @arguments) = @{ JSON::PP->new->utf8->decode($line) };
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        $forked = 1;
        chdir $folder or die "$folder: $!";
        { no utf8; %ENV = map { utf8::encode(my $text = $_); $text } %$env }
        POSIX::tzset();
        setlocale POSIX::LC_ALL, '';
        open STDIN, '<', '/dev/null' or die;
        open STDOUT, '>', $out or die;
        open STDERR, '>', $err or die;
        binmode $_, ':utf8' for *STDIN, *STDOUT, *STDERR;
        $| = 0;
        ($0, @ARGV) = @arguments;
        exit App::Sqitch->go;
    }
    waitpid $pid, 0;
    print $? >> 8 || ($? & 127 ? 128 + ($? & 127) : 0), "\n";
}
"""


class _Loader:
    """The process that has Sqitch loaded; it serves one command after the other."""

    def __init__(self, perl: str) -> None:
        self.lock = threading.Lock()
        self.process = subprocess.Popen(  # noqa: S603
            [perl, "-w", "-e", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.end)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):  # of what was still to be sent
                if stream:
                    stream.close()

    def ask(self, request: str, timeout: float) -> str:
        """Returns the answer to a request; nothing if there was none in so many seconds."""
        assert self.process.stdin and self.process.stdout
        late = threading.Timer(timeout, self.process.kill)
        with self.lock:
            late.start()
            try:
                print(request, file=self.process.stdin, flush=True)
                return self.process.stdout.readline()
            except BrokenPipeError:
                return ""
            finally:
                late.cancel()


_loader = cache(_Loader)


def _perl(program: str) -> str | None:
    """Returns the Perl that a program names in its first line, if it is Sqitch's own script."""
    with open(program, "rb") as file:
        head = file.read(4096)
    first = head.partition(b"\n")[0].removeprefix(b"#!").split()
    if (
        not head.startswith(b"#!")
        or not first[0].endswith(b"perl")
        or b"use App::Sqitch;" not in head
    ):
        return None
    return first[0].decode()


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Runs Sqitch; its standard input is empty.

    Args:
        arguments: the argument vector, with the program.
        folder: where it runs.
        environment: all of it.
        timeout: in seconds.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    perl = _perl(arguments[0])
    if perl is None:  # another way to install it
        return subprocess.run(  # noqa: S603
            arguments,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        request = [str(folder), dict(environment), str(out), str(err), *arguments]
        answer = _loader(perl).ask(json.dumps(request), timeout)
        if not answer:
            _loader.cache_clear()
            raise subprocess.TimeoutExpired(list(arguments), timeout)
        return subprocess.CompletedProcess(
            list(arguments), int(answer), out.read_text("utf-8"), err.read_text("utf-8")
        )
