"""Fine-tune on one task with one seed as transformers' example run_glue does: the baseline of finetune.py.

    python benchmarks/run_glue_baseline.py --model model/ --train train.json --validation validation.json \
        --output output/ --metrics metrics.json

The program is as short as the example allows, with its defaults: every example padded to the maximum length, fp32, the
model's own dropout, validation in batches of 8, and examples and tokens kept in the cache of datasets.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from datasets import disable_progress_bars, load_dataset
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EvalPrediction,
    Trainer,
    TrainingArguments,
    default_data_collator,
    set_seed,
)


def main() -> None:
    """Fine-tune and write the accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of the pre-trained model")
    parser.add_argument("--train", required=True, help="training pairs with their labels, JSON lines")
    parser.add_argument("--validation", required=True, help="validation pairs with their labels, JSON lines")
    parser.add_argument("--output", required=True, help="folder for the model")
    parser.add_argument("--metrics", required=True, help="accuracy to write, JSON")
    parser.add_argument("--max-seq-length", type=int, default=128, help="tokens of a pair (default: 128)")
    parser.add_argument("--batch-size", type=int, default=32, help="pairs of an optimizer step (default: 32)")
    parser.add_argument("--learning-rate", type=float, default=2e-5, help="peak learning rate (default: 2e-5)")
    parser.add_argument("--epochs", type=float, default=3, help="epochs (default: 3)")
    parser.add_argument("--seed", type=int, default=42, help="seed of the head and of the order of pairs (default: 42)")
    args = parser.parse_args()
    disable_progress_bars()

    training = TrainingArguments(
        output_dir=args.output,
        per_device_train_batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        num_train_epochs=args.epochs,
        seed=args.seed,
        report_to="none",
        disable_tqdm=True,
    )
    set_seed(args.seed)
    examples = load_dataset("json", data_files={"train": args.train, "validation": args.validation})
    classes = len(examples["train"].unique("label"))
    config = AutoConfig.from_pretrained(args.model, num_labels=classes)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSequenceClassification.from_pretrained(args.model, config=config)

    def tokenise(batch: dict) -> dict:
        pairs = batch["sentence1"], batch["sentence2"]
        return tokenizer(*pairs, padding="max_length", max_length=args.max_seq_length, truncation=True)

    examples = examples.map(tokenise, batched=True)

    def accuracy(predicted: EvalPrediction) -> dict[str, float]:
        return {"accuracy": float((predicted.predictions.argmax(1) == predicted.label_ids).mean())}

    trainer = Trainer(
        model=model,
        args=training,
        train_dataset=examples["train"],
        eval_dataset=examples["validation"],
        compute_metrics=accuracy,
        processing_class=tokenizer,
        data_collator=default_data_collator,
    )
    trainer.train()
    trainer.save_model()
    trainer.save_state()
    Path(args.metrics).write_text(json.dumps(trainer.evaluate()))


if __name__ == "__main__":
    main()
