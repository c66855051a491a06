"""Draw held-out loss against data size, a line for each model and gpus value.

    python scripts/figure_loss.py --recipe figure.json --runs runs.csv --figure loss.png --record loss.json

The interval is over pre-training seeds, with a standard deviation pooled over cells; with one seed it is over the
sequences of the held-out text. The loss is that of masked tokens, and models with different tokenizers predict
different tokens, so each tokenizer has a panel. The dotted line is the unigram baseline.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.lines import Line2D

from gridlaw import cli
from gridlaw.report import plotting
from gridlaw.stats import intervals
from gridlaw.tables import read_table
from gridlaw.words import count
from gridlaw.workflow import program, record


def main() -> None:
    args = program.parse("figure_loss", __doc__)

    every = read_table(args.runs)
    diverged = every["diverged"].eq(True).sum()
    runs = every.dropna(subset=["held_out_loss"])
    table, over = losses(runs)
    models = plotting.styles(args.recipe["models"], runs["model"])
    tokenizers = list(table["tokenizer"].unique())
    rows, columns, width = plotting.arranged(len(tokenizers))
    with plotting.figure(args.figure, rows, columns, width, 2.3 * rows + 0.6, table) as (figure, axes):
        if table.empty:
            plotting.say(axes[0], "No run has a held-out loss.")
        for ax in axes[max(1, len(tokenizers)) :]:
            ax.set_visible(False)
        for tokenizer, ax in zip(tokenizers, axes, strict=False):
            cells = table[table["tokenizer"] == tokenizer]
            zero = plotting.tokens_axis(ax, cells)
            for (model, gpus), curve in cells.groupby(["model", "gpus"], sort=False):
                curve = curve.sort_values("size_tokens")
                marker = plotting.marker(table["gpus"], gpus)
                plotting.line(ax, curve["size_tokens"].replace(0, zero), curve, models[model], marker)
            for unigram in runs.loc[runs["tokenizer"] == tokenizer, "unigram_loss"].dropna().unique():
                ax.axhline(unigram, color="0.4", linewidth=0.7, linestyle=":")
            ax.set_ylabel("held-out loss (nats)")
            if columns > 1:
                ax.set_title(f"tokenizer {tokenizer}")
        if tokenizers:
            unigram = Line2D([], [], color="0.4", linewidth=0.7, linestyle=":", label="unigram baseline")
            note = f"band: 95 % interval over {over}" + f"; {count(diverged, 'run')} diverged" * bool(diverged)
            plotting.legend(figure, models, table["gpus"], note, [unigram])
    record.write(args)


def losses(runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Mean held-out loss of each cell with its interval, and the source of the interval in words."""
    keys = ["model", "tokenizer", "size", "size_tokens", "gpus"]
    if runs["pretrain_seed"].nunique() > 1:
        over = f"pre-training seeds, n = {runs['pretrain_seed'].nunique()}, scatter pooled over cells"
        return intervals.summarise_pooled(runs, keys, "held_out_loss"), over
    reach = 1.96 * runs["held_out_loss_se"]
    table = runs[keys].assign(
        mean=runs["held_out_loss"], low=runs["held_out_loss"] - reach, high=runs["held_out_loss"] + reach, n=1
    )
    return table, "held-out sequences; one pre-training seed"


if __name__ == "__main__":
    cli.run(main)
