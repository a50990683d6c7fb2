# SPDX-License-Identifier: GPL-2.0-or-later
"""isolation.py: how much of a start is the kernel's price of the isolation, and how much is ours.

bench.py's part. The floor program gets what the default sandbox has, one step after the other (floor_steps.c).
"""
STEPS = (("+ overlay, removed at the end", "--overlay {}"), ("+ the mounts of /dev, /sys, masks, files", "--mounts"),
         ("+ process 1 a program of its own", "--exec"), ("+ seccomp filters, Landlock", "--confine"))
BARE = "floor: namespaces, veth, proc"


def commands(floor, root, layers, ours):
    """Label to command, for one interleaved run; the last but one has everything."""
    found, options = {BARE: f"{floor} {root} /bin/true"}, ""
    for label, option in STEPS:
        options += " " + option.format(layers)
        found[label] = f"{floor}{options} {root} /bin/true"
    return found | {"azm-sandbox": ours}


def show(results, note):
    """Each step's share of the start. Return: median of the floor with everything, None when a step fails."""
    medians = {label: figures.get("median") for label, figures in results.items()}
    if None in medians.values():
        return None
    ours, before = medians["azm-sandbox"], 0.0
    for label, median in medians.items():
        note(f"{label:<42} {median / 1000:6.2f} ms   {(median - before) / ours * 100:4.0f} % of the start   "
             f"{median / medians[BARE]:.2f}x the floor")
        before = median
    return medians[STEPS[-1][0]]
