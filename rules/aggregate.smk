"""From records and scores to tables."""


rule aggregate:
    """Gather the grid's records and scores into tidy tables."""
    input:
        records=[
            f"results/pretrain/{cell.model}/{cell.size}/{cell.gpus}/{seed}/record.json"
            for cell in CELLS
            for seed in config["seeds"]["pretrain"]
        ],
        ranks=[f"results/ranks/{model}/{size}/ranks.csv" for model, size in COMPARED],
        scores=[
            f"results/score/{cell.model}/{cell.size}/{cell.gpus}/{file}"
            for cell in SCORED
            for file in ("scores.csv", "record.json")
        ],
        baselines=expand("results/baseline/{task}/scores.csv", task=config["tasks"]),
    output:
        runs=shown("results/runs.csv", "tables", "runs"),
        runs_parquet="results/runs.parquet",
        curves=shown("results/curves.csv", "tables", "curves"),
        curves_parquet="results/curves.parquet",
        scores=shown("results/scores.csv", "tables", "scores"),
        scores_parquet="results/scores.parquet",
        summary=shown("results/summary.csv", "tables", "summary"),
        summary_parquet="results/summary.parquet",
        baselines=shown("results/baselines.csv", "tables", "baselines"),
        baselines_parquet="results/baselines.parquet",
        attempts=shown("results/attempts.csv", "tables", "attempts"),
        attempts_parquet="results/attempts.parquet",
        record="results/aggregate.json",
    log:
        "logs/aggregate.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("aggregate"),
        code=digest("aggregate"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/aggregate.py" --recipe {params.recipe:q} --results results --work work'
        " --runs {output.runs:q} --curves {output.curves:q} --scores {output.scores:q} --summary {output.summary:q}"
        " --baselines {output.baselines:q} --attempts {output.attempts:q} --record {output.record:q} > {log:q} 2>&1"
