#!/bin/bash
# Two network namespaces as two hosts of a Ray cluster, joined by a pair of virtual interfaces: the driver in the first,
# where Ray has no cores, measures 400 ablations by address on the two workers in the second. As root:
#
#     PYTHON=python benchmarks/ray_hosts.sh
set -euo pipefail
PYTHON=$(command -v "${PYTHON:-python}")
RAY=$(dirname "$PYTHON")/ray
FIRST=10.77.0.1 SECOND=10.77.0.2 PORT=6399
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=0123456789abcdef0123456789abcdef RAY_USAGE_STATS_ENABLED=0
folder=$(mktemp -d)

end() {
    for host in first second; do ip netns pids "$host" 2> /dev/null | xargs -r kill -9 2> /dev/null || true; done
    ip netns delete first 2> /dev/null || true
    ip netns delete second 2> /dev/null || true
    rm -rf "$folder"
}
trap end EXIT

ip netns add first
ip netns add second
ip link add to-second type veth peer name to-first
ip link set to-second netns first
ip link set to-first netns second
ip -n first address add $FIRST/24 dev to-second
ip -n second address add $SECOND/24 dev to-first
for host in first second; do ip -n $host link set lo up; done
ip -n first link set to-second up
ip -n second link set to-first up

ip netns exec first "$RAY" start --head --node-ip-address=$FIRST --port=$PORT --num-cpus=0 --include-dashboard=false \
    --temp-dir="$folder/first" > "$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
ip netns exec second "$RAY" start --address=$FIRST:$PORT --node-ip-address=$SECOND --num-cpus=2 >> "$folder/log" 2>&1 \
    || { cat "$folder/log"; exit 1; }

ip netns exec first "$PYTHON" - << END
import os, socket
import numpy as np
import interplay as ip

def value(masks):
    with open("$folder/where", "a") as file:
        file.write(open("/proc/self/net/fib_trie").read().count("$SECOND") and "second\n" * len(masks) or "first\n" * len(masks))
    return masks @ np.arange(12.0)

game, masks = ip.Game(value, 12, batch_size=8), ip.design(12, 400)
with ip.executors.ray(2, address="$FIRST:$PORT") as executor:
    values = ip.ablate.measure(game, masks, executor=executor).values
where = open("$folder/where").read().split()
assert np.array_equal(np.ravel(values), masks @ np.arange(12.0)), "other values than at home"
print(f"{len(masks)} ablations; measured by the first host: {where.count('first')}, by the second: {where.count('second')}")
END
