"""What the program costs, and what the least is that it could: one command a question.

    python -m tests.bench --files 10000,100000 --keep DIR --chart FILE.svg --json FILE.json
        every step and stage, the kernel's limit in the same run, and the ratio; mpd and minidlna
    python -m tests.bench --files 1000 --keep DIR --no-peers --check
        whether any ratio is worse by a quarter than the one that `ratios.json` keeps
    python -m tests.bench --files 1000,10000 --keep DIR --keep-ratios
        keeps those of this run; on a machine that does nothing else
    python -m tests.bench --tiny --files 10000,100000,1000000 --runs 1 --keep DIR
        whether time and memory for each file stay flat
    python -m tests.bench --files 10000 --keep DIR --cold --no-peers
        the same with an empty page cache (as root)
    python -m tests.bench.live, python -m tests.bench.queues, python -m tests.bench.search
        how soon the index follows, what workers do, how long a search takes

`--goals` says of any of them what was asked for, and whether it is reached.
"""
