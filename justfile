# The recipes of .ci/run by name. What a step does stands there and nowhere else.

# Everything that must hold before a change lands.
gate:
    .ci/run

# One step or several: fmt lint docs test qualify python processes damage swarm fresh twice kill9 s3 fuzz
# mutants explore
step +names:
    .ci/run {{names}}

# The steps that take seconds once things are built.
quick:
    .ci/run fmt lint test

# Licences and sources of everything we depend on. Needs cargo-deny.
deny:
    cargo deny check bans licenses sources
