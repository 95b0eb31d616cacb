"""The runtime of one worker process: reader, supervisor, dispatcher, committer, coordinator."""
