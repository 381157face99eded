"""Shadow deployment in the node: a candidate's models are compared with the active ones, promoted and rolled back.

Reading order: `shadow_comparison` (when the comparison runs), `model_selection` (what may become active),
`model_choice` (parameters and files). The comparison itself is `rsagent_ros.shadow`; the node switches the models.
"""
