"""EleutherAI's evaluation harness, as it comes: `local-completions` with our tokenizer, on small
tasks from local files. Its scores are held against what the server says of the same texts."""

import json
import os
import pathlib
import tempfile
import unittest
import urllib.request

# What it keeps of data sets goes with the test; read when it is imported.
CACHE = tempfile.TemporaryDirectory()
os.environ["HF_HOME"] = CACHE.name

import lm_eval  # noqa: E402
from lm_eval.models.openai_completions import LocalCompletionsAPI  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

MODEL = os.environ["AGENTBASE_TEST_MODEL"]
KEY = os.environ["OPENAI_API_KEY"]
URL = os.environ["OPENAI_BASE_URL"] + "/completions"
TASKS = pathlib.Path(__file__).parent / "tasks"


def documents(task):
    return [json.loads(line) for line in (TASKS / f"{task}.jsonl").read_text().splitlines()]


def evaluate(task, **options):
    """The metrics of a task and what each of its documents got."""
    model = LocalCompletionsAPI(
        model=MODEL, base_url=URL, auth_token=KEY, max_retries=1, timeout=300, **options
    )
    results = lm_eval.simple_evaluate(
        model=model,
        tasks=[task],
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
    )
    samples = sorted(results["samples"][task], key=lambda sample: sample["doc_id"])
    return results["results"][task], samples


def scores(text):
    """The log-probabilities of a text's tokens but the first, by plain HTTP."""
    body = {"model": MODEL, "prompt": text, "echo": True, "logprobs": 1, "max_tokens": 0}
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(URL, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=300) as response:
        logprobs = json.load(response)["choices"][0]["logprobs"]
    return logprobs["token_logprobs"], logprobs["text_offset"]


def continuation(context, text):
    """The log-probability of `text` after `context`."""
    logprobs, offsets = scores(context + text)
    return sum(p for p, at in zip(logprobs, offsets, strict=True) if at >= len(context))


class Tasks(unittest.TestCase):
    def test_choices_get_the_scores_that_the_server_gives(self):
        metrics, samples = evaluate("capitals")
        right = 0
        for document, sample in zip(documents("capitals"), samples, strict=True):
            context = f"The capital of {document['country']} is"
            expected = [continuation(context, f" {choice}") for choice in document["choices"]]
            found = [float(answer[0]) for answer in sample["filtered_resps"]]
            for one, other in zip(found, expected, strict=True):
                self.assertAlmostEqual(one, other, delta=0.05)
            right += expected.index(max(expected)) == document["answer"]
        self.assertAlmostEqual(metrics["acc,none"], right / len(samples))
        # By chance it would be 0.25; the model knows most of these.
        self.assertGreaterEqual(metrics["acc,none"], 0.75)

    def test_several_at_once_give_the_same(self):
        alone, _ = evaluate("capitals")
        together, _ = evaluate("capitals", batch_size=6, num_concurrent=4)
        self.assertEqual(alone["acc,none"], together["acc,none"])

    def test_texts_are_generated_up_to_their_stop(self):
        metrics, samples = evaluate("counting")
        self.assertGreaterEqual(metrics["exact_match,none"], 0.6)
        for sample in samples:
            self.assertNotIn(",", sample["filtered_resps"][0])

    def test_perplexity_of_passages(self):
        metrics, samples = evaluate("passages")
        for document, sample in zip(documents("passages"), samples, strict=True):
            # The harness puts the end of a text before it, so that its first token counts, too.
            logprobs, _ = scores("<|im_end|>" + document["text"])
            found = sample["filtered_resps"][0]
            found = found[0] if isinstance(found, (list, tuple)) else found
            self.assertAlmostEqual(float(found), sum(logprobs[1:]), delta=0.1)
        self.assertTrue(1 < metrics["word_perplexity,none"] < 1e4)


if __name__ == "__main__":
    unittest.main()
