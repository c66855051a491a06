"""From models to predictions."""


rule finetune:
    """Fine-tune one cell's model on one task: every seed and training-set size, in one process."""
    input:
        model=ancient("results/pretrain/{model}/{size}/{gpus}/{seed}/model/model.safetensors"),
        manifest="results/pretrain/{model}/{size}/{gpus}/{seed}/manifest.json",
        examples=ancient("resources/task/{task}/examples.parquet"),
        task="resources/task/{task}/manifest.json",
    output:
        predictions="results/finetune/{model}/{size}/{gpus}/{seed}/{task}/predictions.parquet",
        manifest="results/finetune/{model}/{size}/{gpus}/{seed}/{task}/manifest.json",
        record="results/finetune/{model}/{size}/{gpus}/{seed}/{task}/record.json",
    log:
        "logs/finetune/{model}/{size}/{gpus}/{seed}/{task}.log",
    group:
        EVALUATION
    conda:
        "../envs/train.yaml"
    resources:
        **demand("finetune"),
    params:
        recipe=recipe("finetune", "model", "task"),
        code=digest("finetune"),
    shell:
        "run=$(dirname {output.record:q}) run=${{run#results/}}; "
        'HF_HUB_OFFLINE=1 python "$scripts/finetune.py" --recipe {params.recipe:q} --model "$(dirname {input.model:q})"'
        " --model-manifest {input.manifest:q} --examples {input.examples:q} --task {input.task:q}"
        " --predictions {output.predictions:q} --manifest {output.manifest:q} --record {output.record:q}"
        " --work work/$run --checkpoint-minutes $checkpoint_minutes"
        " --tensorboard logs/tensorboard/$run > {log:q} 2>&1"
