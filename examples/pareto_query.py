"""Ask a finished sweep for its front (1 s; needs the sweep of `make demo`, nothing else).

Run: python examples/pareto_query.py
"""

from orchestrator import open_sweep


def main() -> None:
    """Print the front of the small networks, and load the best compromise."""
    front = open_sweep("digits-fc").front(
        objectives=["accuracy", "memory_bytes"], where="memory_bytes <= 80kB"
    )
    print(front.to_frame()[["trial", "accuracy", "memory_bytes", "bits", "fc_bits"]])
    best = front.knee()
    print(f"knee: trial {best.trial}, {best.values['memory_bytes']:,.0f} bytes")
    network = best.load_model()  # a torch module on pixels in [0, 1]
    print(f"classes: {network.spec.classes}")


if __name__ == "__main__":
    main()
