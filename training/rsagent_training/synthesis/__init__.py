"""Parts of `rsagent synthesize`: `config`, `attempt` (an episode of a teacher), `selection` (who stays), `report`."""
