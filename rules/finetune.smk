"""From models to predictions."""


rule finetune:
    """Fine-tune one cell's model on one task: every seed and training-set size, in one process."""
    input:
        unpack(inputs("finetune")),
    output:
        **outputs("finetune"),
    log:
        log_file("finetune"),
    group:
        EVALUATION
    conda:
        "../envs/train.yaml"
    resources:
        **demand("finetune"),
    params:
        recipe=recipe("finetune"),
        code=digest("finetune"),
    shell:
        command("finetune")
