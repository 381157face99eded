"""Parts of `rsagent questions`: `config`, `writing` (a model writes), `wording` (what is dropped unseen), `solving`."""
