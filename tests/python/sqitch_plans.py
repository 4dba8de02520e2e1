"""What Sqitch itself makes of plan files, asked of its Perl modules: fast enough for properties."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from small_project import environment

_PROGRAM = r"""
use v5.20; use warnings; use utf8; use JSON::PP;
use App::Sqitch; use App::Sqitch::Config; use App::Sqitch::Target; use App::Sqitch::Plan;
my $json = JSON::PP->new->canonical->utf8->allow_nonref;
local $SIG{__WARN__} = sub { };
my $sqitch = App::Sqitch->new(config => App::Sqitch::Config->new);
my $target = App::Sqitch::Target->new(sqitch => $sqitch, name => 'db:pg:');
$| = 1;
while (my $line = <STDIN>) {
    my ($file, @keys) = @{ $json->decode($line) };
    my $told = eval {
        my $plan = App::Sqitch::Plan->new(
            sqitch => $sqitch, target => $target, file => Path::Class::file($file));
        +{ project => $plan->project, changes => [ map { my $change = $_; +{
            id => $change->id, name => $change->name, note => $change->note,
            planner => $change->format_planner, date => $change->timestamp->as_string,
            requires => [ map { $_->as_string } $change->requires ],
            conflicts => [ map { $_->as_string } $change->conflicts ],
            tags => [ map { [ $_->name, $_->id, $_->note ] } $change->tags ],
            rework_tags => [ map { $_->name } $change->rework_tags ],
        } } $plan->changes ], found => { map { my $key = $_;
            # Sqitch says on standard error what an ambiguous key may mean.
            open my $err, '>&', \*STDERR; open STDERR, '>', '/dev/null';
            my $index = eval { $plan->index_of($key) };
            open STDERR, '>&', $err;
            ($key => $index) } @keys } };
    } || { error => "$@" };
    say $json->encode($told);
}
"""


class Sqitch:
    """A process that reads plans as Sqitch does."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.file = folder / "sqitch.plan"
        self.process = process

    def read(self, plan: bytes, *keys: str) -> dict[str, Any]:
        """Returns what Sqitch understands: ``error``, or ``project``, ``changes`` and ``found``.

        ``found`` has the position in the plan of each of ``keys``, None where there is none.
        """
        self.file.write_bytes(plan)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([str(self.file), *keys]).encode() + b"\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told


@contextmanager
def running(folder: Path) -> Iterator[Sqitch]:
    """Starts the process; without Sqitch's modules a CI run fails, another skips the test."""
    perl = shutil.which("perl")
    probe = [perl or "perl", "-MApp::Sqitch::Plan", "-MJSON::PP", "-e1"]
    if perl is None or subprocess.run(probe, capture_output=True, check=False).returncode:  # noqa: S603
        why = "Sqitch's Perl modules are not installed: what it reads cannot be compared with"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    process = subprocess.Popen(  # noqa: S603
        [perl, "-e", _PROGRAM],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Sqitch(folder, process)
    finally:
        process.communicate()
