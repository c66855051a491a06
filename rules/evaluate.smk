"""From predictions to scores."""

# What a cell's scores come from, in an order of its own: that of the configuration means nothing.
RUNS = expand(
    "results/finetune/{{model}}/{{size}}/{{gpus}}/{seed}/{task}",
    seed=sorted(config["seeds"]["pretrain"]),
    task=sorted(config["tasks"]),
)


rule score:
    """Compute one cell's metrics from its saved predictions."""
    input:
        predictions=[ancient(f"{run}/predictions.parquet") for run in RUNS],
        manifests=[f"{run}/manifest.json" for run in RUNS],
    output:
        scores="results/score/{model}/{size}/{gpus}/scores.csv",
        record="results/score/{model}/{size}/{gpus}/record.json",
    log:
        "logs/score/{model}/{size}/{gpus}.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("score"),
        code=digest("score"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/score.py" --recipe {params.recipe:q} --predictions {input.predictions:q}'
        " --manifests {input.manifests:q} --scores {output.scores:q} --record {output.record:q}"
        " --tensorboard logs/tensorboard/finetune/{wildcards.model}/{wildcards.size}/{wildcards.gpus} > {log:q} 2>&1"


rule baseline:
    """Score the majority class of a task."""
    input:
        examples=ancient("resources/task/{task}/examples.parquet"),
        task="resources/task/{task}/manifest.json",
    output:
        scores="results/baseline/{task}/scores.csv",
        record="results/baseline/{task}/record.json",
    log:
        "logs/baseline/{task}.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        recipe=recipe("baseline", "task"),
        code=digest("baseline"),
    shell:
        'HF_HUB_OFFLINE=1 python "$scripts/baseline.py" --recipe {params.recipe:q} --examples {input.examples:q}'
        " --task {input.task:q} --scores {output.scores:q} --record {output.record:q} > {log:q} 2>&1"
