"""Work on many scenes: in parallel (`workers`), resumable (`resume_log`), and counted (`filter_report`)."""
