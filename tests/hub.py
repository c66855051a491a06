"""A Hugging Face Hub on loopback, as far as fetching a data set or a model needs one, and a grid that does."""

import hashlib
import json
import random
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse

import pandas as pd

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WORDS = [f"{a}{b}" for a in ("ba", "do", "ki", "lu", "me") for b in ("na", "ro", "ti", "su", "pe", "go")]
GRID = {
    "models": ["released"],
    "sizes": [0, "1k"],
    "gpus": [1],
    "tasks": ["pairs"],
    "seeds": {"pretrain": [1], "finetune": [1]},
    "exclude": [],
    "corpus": "stories",
    "data": {"tokenizer": "released", "held_out_words": 200},
    "finetune": {"epochs": 1, "train_examples": [8, "all"]},
    "catalogue": {
        "models": {"released": {"pretrained": "someone/encoder", "revision": "main"}},
        "corpora": {"stories": {"source": "hub", "dataset": "someone/stories", "revision": "v1", "held_out_split":
        "validation"}}, "tasks": {
            "pairs": {
                "source": "hub", "dataset": "someone/tasks", "config": "pairs", "revision": "main",
                "text": ["sentence1", "sentence2"], "metrics": ["f1", "accuracy"],
            }
        },
    },
}  # fmt: skip


@contextmanager
def serve(folder: Path, refused: dict[str, tuple[int, str]] | None = None):
    """Serve FOLDER/{models,datasets}/OWNER/NAME/... at every revision; gives the address.

    Args:
        refused: HTTP status and error code of the answers for a repository.
    """
    refused = refused or {}

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def reply(self, body: bytes, status=200, **headers):
            self.send_response(status)
            for name, value in {"Content-Length": len(body), **headers}.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def reply_json(self, value):
            self.reply(json.dumps(value).encode(), Content_Type="application/json")

        def entries(self, repository: Path):
            for path in sorted(repository.rglob("*")):
                name = path.relative_to(repository).as_posix()
                size = path.stat().st_size if path.is_file() else 0
                yield {"type": "file" if path.is_file() else "directory", "path": name, "oid": "0" * 40, "size": size}

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            parts = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")]
            is_api = parts[0] == "api"
            parts = parts[1:] if is_api else parts
            kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
            if status := refused.get("/".join(parts[:2])):
                return self.reply(b"{}", status[0], X_Error_Code=status[1])
            repository, what = folder / kind / parts[0] / parts[1], parts[2:]
            if not repository.is_dir():
                return self.reply(b"{}", 404, X_Error_Code="RepoNotFound")
            if is_api and (not what or what[0] == "revision"):
                files = [{"rfilename": entry["path"]} for entry in self.entries(repository) if entry["type"] == "file"]
                return self.reply_json(
                    {"id": "/".join(parts[:2]), "sha": COMMIT, "private": False, "tags": [], "siblings": files}
                )
            if is_api and what[0] == "tree":
                under = "/".join(what[2:])
                found = [e for e in self.entries(repository) if e["path"].startswith(f"{under}/" if under else "")]
                if parse_qs(urlparse(self.path).query).get("recursive", ["false"])[0].lower() != "true":
                    depth = under.count("/") + 2 if under else 1
                    found = [e for e in found if e["path"].count("/") < depth]
                return self.reply_json(found)
            if is_api and what[0] == "paths-info":
                wanted = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
                return self.reply_json([entry for entry in self.entries(repository) if entry["path"] in wanted])
            file = repository.joinpath(*what[2:]) if what and what[0] == "resolve" else None
            if file is None or not file.is_file():
                return self.reply(b"{}", 404, X_Error_Code="EntryNotFound")
            content = file.read_bytes()
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            headers = {"ETag": etag, "X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
            span = self.headers.get("Range")
            if span and self.command == "GET":
                first, _, last = span.removeprefix("bytes=").partition("-")
                part = content[int(first) : int(last or len(content) - 1) + 1]
                return self.reply(
                    part, 206, Content_Range=f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}", **headers
                )
            return self.reply(content, **headers)

        do_GET = do_HEAD = do_POST = answer  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def sentence(draw):
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(5, 12))) + " ."


def card(*configs):
    names = {"default": "", "pairs": "pairs/"}
    listed = "".join(
        f"- config_name: {name}\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: {names[name]}{split}-*\n" for split in ("train", "validation"))
        for name in configs
    )
    return f"---\nconfigs:\n{listed}---\n"


def fill(folder: Path) -> None:
    """Put the repositories that `GRID` names there."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    draw = random.Random(0)
    stories, tasks = folder / "datasets/someone/stories", folder / "datasets/someone/tasks/pairs"
    for path in (stories, tasks):
        path.mkdir(parents=True)
    (stories / "README.md").write_text(card("default"))
    (tasks.parent / "README.md").write_text(card("pairs"))
    for split, count in (("train", 200), ("validation", 60)):
        text = pd.DataFrame({"text": [sentence(draw) for _ in range(count)]})
        text.to_parquet(stories / f"{split}-00000-of-00001.parquet")
        pairs = [(sentence(draw), sentence(draw), index % 2, index) for index in range(40)]
        pd.DataFrame(pairs, columns=["sentence1", "sentence2", "label", "idx"]).to_parquet(
            tasks / f"{split}-00000-of-00001.parquet"
        )
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS, "."])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    encoder = folder / "models/someone/encoder"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **dict(zip(names, special, strict=True))).save_pretrained(
        encoder
    )
    shape = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=36, max_position_embeddings=40, **shape)).save_pretrained(encoder)
