"""What Sqitch itself reads in plans and configurations, asked of its Perl modules.

One process answers thousands of questions, as properties need it.
"""

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
# Config::GitLike asks the program pwd, once for each file that it looks for.
use Cwd; BEGIN { no warnings 'redefine'; *Cwd::cwd = \&Cwd::getcwd }
use App::Sqitch; use App::Sqitch::Config; use App::Sqitch::Target; use App::Sqitch::Plan;
use App::Sqitch::DateTime;
my $json = JSON::PP->new->canonical->utf8->allow_nonref->convert_blessed;
local $SIG{__WARN__} = sub { };
$| = 1;

sub plan {
    my ($file, @keys) = @_;
    my $sqitch = App::Sqitch->new(config => App::Sqitch::Config->new);
    my $target = App::Sqitch::Target->new(sqitch => $sqitch, name => 'db:pg:');
    my $plan = App::Sqitch::Plan->new(
        sqitch => $sqitch, target => $target, file => Path::Class::file($file));
    return { project => $plan->project, changes => [ map { my $change = $_; +{
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
}

sub config {
    my ($directory, $env, @sections) = @_;
    local @ENV{keys %$env} = values %$env;
    chdir $directory;
    my $config = App::Sqitch::Config->new;
    $config->load;
    my %data = %{ $config->data };
    return {
        values => { map { $_ => ref $data{$_} ? $data{$_} : [ $data{$_} ] } keys %data },
        sections => { map { $_ => $config->get_section(section => $_) } @sections },
    };
}

sub target {
    my ($directory, $env, $name) = @_;
    local @ENV{keys %$env} = values %$env;
    chdir $directory;
    my $sqitch = App::Sqitch->new(config => App::Sqitch::Config->new);
    my $target = App::Sqitch::Target->new(sqitch => $sqitch, $name ? (name => $name) : ());
    my %query = $target->uri->query_params;
    my %told = (
        name => $target->name, variables => $target->variables,
        user => scalar $target->username, password => scalar $target->password,
        host => scalar $target->uri->host, port => scalar $target->uri->_port,
        dbname => scalar $target->uri->dbname, %query,
    );
    for my $key (qw(registry client plan_file extension),
        map { ("${_}_dir", "reworked_${_}_dir") } qw(deploy revert verify)) {
        $told{$key} = '' . $target->$key;
    }
    return \%told;
}

sub who {
    my ($directory, $env) = @_;
    local @ENV{keys %$env} = values %$env;
    chdir $directory;
    my $sqitch = App::Sqitch->new(config => App::Sqitch::Config->new);
    return { name => $sqitch->user_name, email => $sqitch->user_email };
}

sub edit {
    my ($file, $env, $what, %p) = @_;
    local @ENV{keys %$env} = values %$env;
    my $sqitch = App::Sqitch->new(config => App::Sqitch::Config->new);
    my $target = App::Sqitch::Target->new(sqitch => $sqitch, name => 'db:pg:');
    my $plan = App::Sqitch::Plan->new(
        sqitch => $sqitch, target => $target, file => Path::Class::file($file));
    my ($yr, $mo, $dy, $hr, $mi, $sc) = split /[-T:Z]/, delete $p{at};
    $p{timestamp} = App::Sqitch::DateTime->new(year => $yr, month => $mo, day => $dy,
        hour => $hr, minute => $mi, second => $sc, time_zone => 'UTC');
    my $line = $plan->$what(%p);
    # As the commands do: they ask for the note if there is none, and set it again.
    $line->note($line->request_note) if $what ne 'rework';
    $plan->write_to($plan->file);
    return { text => scalar $plan->file->slurp(iomode => '<:utf8') };
}

my %ask = (plan => \&plan, edit => \&edit, config => \&config, target => \&target, who => \&who);
while (my $line = <STDIN>) {
    my ($what, @arguments) = @{ $json->decode($line) };
    my $told = eval { $ask{$what}->(@arguments) } || { error => "$@" };
    say $json->encode($told);
}
"""


class Sqitch:
    """A process that reads as Sqitch does; every answer may be ``{"error": message}``."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process

    def ask(self, what: str, *arguments: Any) -> dict[str, Any]:
        """Sends one question and returns the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([what, *arguments], default=str).encode() + b"\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told

    def plan(self, plan: bytes, *keys: str) -> dict[str, Any]:
        """Returns ``project``, ``changes`` and ``found``: where in the plan each key leads."""
        file = self.folder / "sqitch.plan"
        file.write_bytes(plan)
        return self.ask("plan", file, *keys)

    def edit(self, plan: bytes, what: str, env: dict[str, str], **given: Any) -> dict[str, Any]:
        """Returns the ``text`` of a plan after ``add``, ``rework`` or ``tag``."""
        file = self.folder / "sqitch.plan"
        file.write_bytes(plan)
        return self.ask("edit", file, env, what, *(x for it in given.items() for x in it))

    def config(self, directory: Path, *sections: str, **env: str) -> dict[str, Any]:
        """Returns all ``values`` of a directory's configuration, and these ``sections``."""
        return self.ask("config", directory, env, *sections)

    def target(self, directory: Path, name: str | None, **env: str) -> dict[str, Any]:
        """Returns what a target is, and the settings that apply to it."""
        return self.ask("target", directory, env, name)

    def who(self, directory: Path, **env: str) -> dict[str, Any]:
        """Returns ``name`` and ``email`` of the user."""
        return self.ask("who", directory, env)


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
