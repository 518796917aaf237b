"""Compares two reports of frames.py: frames_compare.py KERNEL WEFT KNOWN. Lists the cases that differ and
are not among the known ones, and known ones that differ no longer."""
import json
import sys

with open(sys.argv[1], encoding="ascii") as f:
    kernel = json.load(f)
with open(sys.argv[2], encoding="ascii") as f:
    weft = json.load(f)

with open(sys.argv[3], encoding="ascii") as f:
    known = {line.rstrip("\n") for line in f if line.strip() and not line.startswith("#")}

differ = 0
assert len(kernel) == len(weft) > 1000, (len(kernel), len(weft))
for k, w in zip(kernel, weft):
    assert (k["group"], k["case"]) == (w["group"], w["case"])
    name = f'{k["group"]}: {k["case"]}'
    if k == w:
        if name in known:
            differ += 1
            print(f"{name}: is known to differ, but does not")
        continue
    if name in known:
        continue
    differ += 1
    print(name)
    for key in ("out", "counted"):
        if k[key] != w[key]:
            print(f"  {key}: kernel {k[key]}\n  {' ' * len(key)}    weft {w[key]}")
print(f"{len(kernel)} cases, {sum(1 for k in kernel if k['out'])} with an answer, {len(known)} known to differ, "
      f"{differ} unexpected")
sys.exit(differ > 0)
