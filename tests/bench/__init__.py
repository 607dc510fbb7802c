"""Costs of the program, compared with lower bounds: one command for each question.

    python -m tests.bench.report --keep DIR [--peers-from DIR] [--tiny 100000,1000000]
        all programs, kept figures, and the tables and charts of README.md
    python -m tests.bench --files 10000,100000 --keep DIR --json FILE.json
        every step and stage, the kernel's limit in the same run, the ratios, mpd and minidlna
    python -m tests.bench --files 1000 --keep DIR --no-peers --check
        whether any ratio is worse by a quarter than the one in `ratios.json`
    python -m tests.bench --files 1000,10000 --keep DIR --keep-ratios
        store the ratios of this run; use an idle machine
    python -m tests.bench --tiny --files 10000,100000,1000000 --runs 1 --keep DIR
        whether time and memory per file stay flat
    python -m tests.bench --files 10000 --keep DIR --cold --no-peers
        the same with an empty page cache (as root)
    python -m tests.bench.live, python -m tests.bench.queues, python -m tests.bench.search
        latency of live changes, throughput of workers, duration of searches
    python -m tests.bench.search --tracks 1000000 --check, python -m tests.bench.views --check
        searches, the views' questions and the status of a large index, against their limits

`--goals` prints the goals of each, and whether they are reached.
"""
