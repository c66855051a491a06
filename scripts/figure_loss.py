"""Draw held-out loss against data size, a line a model and gpus value.

    python scripts/figure_loss.py --recipe figure.json --runs runs.csv --figure loss.png

The interval is over pre-training seeds where there are several, else over the rows of the held-out text.
"""

from __future__ import annotations

import pandas as pd

from gridlaw import cli, intervals, plotting


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--runs", required=True, help="pre-training runs, CSV")
    parser.add_argument("--figure", required=True, help="figure to write (.png; .svg, .pdf and .csv beside it)")
    args = parser.parse_args()

    runs = pd.read_csv(args.runs, dtype={"model": str, "size": str}).dropna(subset=["held_out_loss"])
    table, over = losses(runs)
    models = plotting.styles([model for model in args.recipe["models"] if model in set(runs["model"])])
    with plotting.figure(args.figure, 1, 1, plotting.COLUMN * 1.2, 3.0, table) as (figure, (ax,)):
        if table.empty:
            ax.text(0.5, 0.5, "no held-out text in this grid", ha="center", transform=ax.transAxes)
            return
        zero = plotting.tokens_axis(ax, table)
        for (model, gpus), curve in table.groupby(["model", "gpus"], sort=False):
            curve = curve.sort_values("tokens")
            plotting.line(
                ax, curve["tokens"].replace(0, zero), curve, models[model], plotting.marker(table["gpus"], gpus)
            )
        ax.set_ylabel("held-out loss (nats)")
        plotting.legend(figure, models, table["gpus"], f"band: 95 % interval over {over}")


def losses(runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Mean held-out loss of each cell with its interval, and what the interval is over."""
    keys = ["model", "size", "tokens", "gpus"]
    if runs["pretrain_seed"].nunique() > 1:
        return intervals.summarise(
            runs, keys, "held_out_loss"
        ), f"pre-training seeds, n = {runs['pretrain_seed'].nunique()}"
    reach = 1.96 * runs["held_out_loss_se"]
    table = runs[keys].assign(
        mean=runs["held_out_loss"], low=runs["held_out_loss"] - reach, high=runs["held_out_loss"] + reach, n=1
    )
    return table, "held-out rows; one pre-training seed"


if __name__ == "__main__":
    cli.run(main)
