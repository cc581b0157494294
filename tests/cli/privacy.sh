#!/usr/bin/env bash
# loom privacy: a promise in numbers, and what is no plan.
. "$(dirname "$0")/helpers.bash"

quietly "$loom" privacy --rate 0.04 --steps 2249 --noise 1.5
has '^epsilon +at most 6\.777'
quietly "$loom" privacy --rate 0.04 --steps 2250 --noise 1.5 --accountant rdp
has '^epsilon +at most 7\.3291'
json "$loom" privacy --rate 0.04 --steps 2000 --json --target-epsilon 8 --accountant rdp
has '"noise_multiplier":1\.35'

expect 2 'either --noise or --target-epsilon' "$loom" privacy --rate 0.1 --steps 10
expect 2 'either --noise or --target-epsilon' "$loom" privacy --rate 0.1 --steps 10 --noise 1 --target-epsilon 1
expect 2 '--rate and --steps' "$loom" privacy --noise 1
expect 2 '--rate needs a number from 0 to 1' "$loom" privacy --rate 1.1 --steps 10 --noise 1
expect 2 'must be at least 0.01' "$loom" privacy --rate 0.1 --steps 10 --noise 0.001
expect 2 'prv or rdp' "$loom" privacy --rate 1 --steps 10 --noise 1 --accountant moments
expect 1 'no noise keeps epsilon' "$loom" privacy --rate 1 --steps 1000000000 --target-epsilon 0.0001
expect 1 'account with rdp' "$loom" privacy --rate 1 --steps 10000 --noise 0.5
