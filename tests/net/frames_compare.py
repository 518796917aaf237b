"""Compares two reports of frames.py: frames_compare.py KERNEL WEFT. Lists the cases that differ."""
import json
import sys

with open(sys.argv[1], encoding="ascii") as f:
    kernel = json.load(f)
with open(sys.argv[2], encoding="ascii") as f:
    weft = json.load(f)

differ = 0
assert len(kernel) == len(weft) > 1000, (len(kernel), len(weft))
for k, w in zip(kernel, weft):
    assert (k["group"], k["case"]) == (w["group"], w["case"])
    if k == w:
        continue
    differ += 1
    print(f'{k["group"]}: {k["case"]}')
    for key in ("out", "counted"):
        if k[key] != w[key]:
            print(f"  {key}: kernel {k[key]}\n  {' ' * len(key)}    weft {w[key]}")
print(f"{len(kernel)} cases, {sum(1 for k in kernel if k['out'])} with an answer, {differ} differ")
sys.exit(differ > 0)
