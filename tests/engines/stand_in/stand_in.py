"""Follows the contract of the community image and does none of its work: no physics, no learning, no redis.

It checks what it is given and leaves the files, flags, streams and log lines that the contract names (1.2, 1.3, 2, 3.1,
4). The numbers in them are made up. It imports nothing of drctl, so that a mistake of drctl is not made here again.
"""

# ruff: noqa: BLE001, SIM905, T201, UP031

import argparse
import csv
import http.server
import io
import itertools
import json
import math
import os
import socket
import sys
import threading
import time
import urllib.parse
from datetime import datetime

import boto3
import yaml
from botocore.exceptions import ClientError

REDIS_PORT = 6379
STREAM_PORT = 8080
PAUSE_S = 0.2
HEADER = (
    "episode,steps,X,Y,yaw,steer,throttle,action,reward,done,all_wheels_on_track,progress,closest_waypoint,"
    "track_len,tstamp,episode_status,pause_duration,obstacle_crash_counter,wall_clock"
).split(",")
SIMULATION = {
    *("WORLD_NAME", "APP_REGION", "S3_YAML_NAME", "S3_ENDPOINT_URL", "KINESIS_VIDEO_STREAM_NAME", "ENABLE_KINESIS"),
    *("ENABLE_GUI", "GAZEBO_ARGS", "GAZEBO_RENDER_ENGINE", "RTF_OVERRIDE", "CUDA_VISIBLE_DEVICES", "TELEGRAF_HOST"),
    *("TELEGRAF_PORT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
}
TRAINER = {
    *("AWS_REGION", "RUN_ID", "SAGEMAKER_PROGRAM", "SM_TRAINING_ENV", "S3_ENDPOINT_URL", "TRAINING_JOB_NAME"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
}
TRAINING_YAML = {
    *("SAGEMAKER_SHARED_S3_BUCKET", "SAGEMAKER_SHARED_S3_PREFIX", "METRICS_S3_BUCKET", "METRICS_S3_OBJECT_KEY"),
    *("MODEL_METADATA_FILE_S3_KEY", "REWARD_FILE_S3_KEY", "BODY_SHELL_TYPE", "CAR_COLOR", "NUM_WORKERS"),
    *("MIN_EVAL_TRIALS", "BEST_MODEL_METRIC", "RACE_TYPE", "SIMTRACE_S3_BUCKET", "SIMTRACE_S3_PREFIX"),
}
EVALUATION_YAML = {
    *("MODEL_S3_BUCKET", "MODEL_S3_PREFIX", "METRICS_S3_BUCKET", "METRICS_S3_OBJECT_KEY", "BODY_SHELL_TYPE"),
    *("CAR_COLOR", "NUMBER_OF_TRIALS", "EVAL_CHECKPOINT", "SIMTRACE_S3_BUCKET", "SIMTRACE_S3_PREFIX"),
}


def fail(message, kind="system_error"):
    """Print what the image prints for a fatal error, and leave with the exit status that says nothing."""
    code = 400 if kind == "user_error" else 500
    found = {
        "date": str(datetime.now()),
        "function": "stand_in",
        "message": message,
        "exceptionType": "stand_in.exceptions",
        "eventType": kind,
        "errorCode": str(code),
    }
    print(json.dumps({"simapp_exception": found}))
    print(f"ERROR: FAULT_CODE: {code}", flush=True)
    os._exit(0)


class Bucket:
    """The bucket, with the keys of the environment."""

    def __init__(self, name):
        self.name = name
        self.client = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"], region_name="us-east-1")

    def put(self, key, data):
        self.client.put_object(Bucket=self.name, Key=key, Body=data if isinstance(data, bytes) else data.encode())

    def get(self, key):
        try:
            return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except ClientError:
            return None

    def need(self, key):
        data = self.get(key)
        if data is None:
            fail(f"s3://{self.name}/{key} is missing")
        return data

    def delete(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)

    def wait(self, key):
        while self.get(key) is None:
            time.sleep(PAUSE_S)
        return self.get(key)


def check(found, wanted, where):
    missing = sorted(wanted - set(found))
    if missing:
        fail(f"{where} lacks {', '.join(missing)}")


def number_of(checkpoint):
    return int(checkpoint.split("_")[0])


def publish(bucket, prefix, number, steps):
    """Put a checkpoint in the order of contract 1.2."""
    bucket.put(f"{prefix}/model/.lock", b"")
    name = f"{number}_Step-{steps}.ckpt"
    print(f"Checkpoint> Saving in path=['./checkpoint_sagemaker/agent/{name}']")
    for ending in ("index", "meta", "data-00000-of-00001"):
        bucket.put(f"{prefix}/model/{name}.{ending}", b"stand-in")
    bucket.put(f"{prefix}/model/.coach_checkpoint", name)
    bucket.put(f"{prefix}/model/model_{number}.pb", b"stand-in")
    time.sleep(PAUSE_S)
    bucket.delete(f"{prefix}/model/.lock")
    print(f"Uploaded 3 files for checkpoint {number}")


def train(words):
    check(os.environ, TRAINER, "the trainer's environment")
    parser = argparse.ArgumentParser()
    for name in ("s3_bucket", "s3_prefix", "model_metadata_s3_key", "aws_region"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("pretrained_s3_bucket", "pretrained_s3_prefix", "pretrained_checkpoint"):
        parser.add_argument(f"--{name}")
    given, _ = parser.parse_known_args(words)
    bucket, prefix = Bucket(given.s3_bucket), given.s3_prefix
    hyperparameters = json.loads(os.environ["SM_TRAINING_ENV"])["hyperparameters"]
    check(hyperparameters, {"s3_bucket", "s3_prefix", "aws_region", "num_episodes_between_training"}, "SM_TRAINING_ENV")
    root = f"s3://{given.s3_bucket}/"
    if not given.model_metadata_s3_key.startswith(root):
        fail(f"{given.model_metadata_s3_key} is not an address in {root}")
    bucket.put(f"{prefix}/model/model_metadata.json", bucket.need(given.model_metadata_s3_key.removeprefix(root)))
    print("Using the following hyper-parameters")
    print(json.dumps(hyperparameters, indent=2, sort_keys=True))
    bucket.put(f"{prefix}/ip/hyperparameters.json", json.dumps(hyperparameters, indent=2, sort_keys=True))
    bucket.put(f"{prefix}/ip/ip.json", json.dumps({"IP": socket.gethostbyname(socket.gethostname())}))
    bucket.put(f"{prefix}/ip/done", "done")
    number = 0
    if given.pretrained_s3_prefix:
        source = Bucket(given.pretrained_s3_bucket)
        index = json.loads(source.need(f"{given.pretrained_s3_prefix}/model/deepracer_checkpoints.json"))
        which = "best" if given.pretrained_checkpoint == "best" else "last"
        name = index[f"{which}_checkpoint"]["name"]
        source.put(f"{given.pretrained_s3_prefix}/model/.coach_checkpoint", name)
        print(f"Checkpoint> Restoring from path={name}")
        number = number_of(name) + 1
    publish(bucket, prefix, number, 0)
    listener = socket.create_server(("", REDIS_PORT))
    bucket.put(f"{prefix}/model/.ready", b"")
    episodes, arrived = {}, threading.Condition()
    threading.Thread(target=listen, args=(listener, episodes, arrived), daemon=True).start()
    steps, total = 0, 0
    wanted = int(hyperparameters["num_episodes_between_training"])
    try:
        for iteration in range(int(hyperparameters["term_cond_max_episodes"])):
            for index in range(wanted):
                with arrived:
                    arrived.wait_for(lambda key=(iteration, index): key in episodes)
                steps += episodes.pop((iteration, index))
                total += 1
                print(
                    f"Training> Name=main_level/agent, Worker=0, Episode={total}, Total reward=10.5, Exploration=1.2, "
                    f"Steps={steps}, Training iteration={iteration}"
                )
            print(
                "Policy training> Surrogate loss=-0.01, KL divergence=0.001, Entropy=1.2, training epoch=0, "
                "learning_rate=0.0003"
            )
            time.sleep(2 * PAUSE_S)
            number += 1
            publish(bucket, prefix, number, steps)
    finally:
        bucket.put(f"{prefix}/model/.finished", b"")


def listen(listener, episodes, arrived):
    """Take episodes, one line of JSON each; the image takes pickles through redis on this port."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=read_episodes, args=(connection, episodes, arrived), daemon=True).start()


def read_episodes(connection, episodes, arrived):
    for line in connection.makefile():
        iteration, index, steps = json.loads(line)
        with arrived:
            episodes[(iteration, index)] = steps
            arrived.notify_all()


def serve_streams():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            is_known = url.path in ("/stream", "/snapshot") and "topic" in query
            self.send_response(200 if is_known else 404)
            if url.path == "/stream":
                self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=boundarydonotcross")
            self.end_headers()
            if url.path == "/snapshot" and is_known:
                self.wfile.write(draw(query, 0))
            elif is_known:
                self.stream(query)

        def stream(self, query):
            self.wfile.write(b"--boundarydonotcross \r\n")
            for number in itertools.count():
                picture = draw(query, number)
                head = (
                    f"Content-type: image/jpeg\r\nX-Timestamp: {time.time()}\r\nContent-Length: {len(picture)}\r\n\r\n"
                )
                try:
                    self.wfile.write(head.encode() + picture + b"\r\n--boundarydonotcross \r\n")
                except OSError:
                    return
                time.sleep(1 / 15)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("", STREAM_PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def draw(query, number):
    """Return a picture of the size that is asked for; where one side is missing, the camera has it."""
    from PIL import Image

    size = int(query.get("width", 640)), int(query.get("height", 480))
    file = io.BytesIO()
    Image.new("RGB", size, (30, 40, number * 8 % 256)).save(file, "JPEG")
    return file.getvalue()


def work(words):
    mode, launch_file = words
    check(os.environ, SIMULATION, "the worker's environment")
    rollout = int(os.environ.get("ROLLOUT_IDX", 0))
    if mode == "multi":
        rollout = int(os.environ["DOCKER_REPLICA_SLOT"]) - 1
        if os.environ.get("MULTI_CONFIG"):
            entry = json.loads(os.environ["MULTI_CONFIG"])["multi_config"][rollout]
            os.environ["S3_YAML_NAME"], os.environ["WORLD_NAME"] = entry["config_file"], entry["world_name"]
    elif mode != "run":
        fail(f"there is no mode {mode}")
    print(f"Starting as worker {rollout}, using world {os.environ['WORLD_NAME']} and {os.environ['S3_YAML_NAME']}.")
    serve_streams()
    if launch_file == "evaluation.launch.py":
        evaluate()
    elif launch_file == "distributed_training.launch.py":
        Rollout(rollout).run()
    else:
        fail(f"there is no launch file {launch_file}")


def read_yaml(bucket, prefix, mandatory):
    found = yaml.safe_load(bucket.need(f"{prefix}/{os.environ['S3_YAML_NAME']}"))
    check(found, mandatory, os.environ["S3_YAML_NAME"])
    for name in ("WORLD_NAME", "S3_ENDPOINT_URL"):
        if found.get(name) != os.environ[name]:
            fail(f"{name} is {os.environ[name]} in the environment and {found.get(name)} in the YAML")
    return found


class Rollout:
    """One worker of a training."""

    def __init__(self, number):
        check(os.environ, {"SAGEMAKER_SHARED_S3_BUCKET", "SAGEMAKER_SHARED_S3_PREFIX"}, "the worker's environment")
        self.number = number
        self.prefix = os.environ["SAGEMAKER_SHARED_S3_PREFIX"]
        self.bucket = Bucket(os.environ["SAGEMAKER_SHARED_S3_BUCKET"])
        self.yaml = read_yaml(self.bucket, self.prefix, TRAINING_YAML)
        self.workers = int(self.yaml["NUM_WORKERS"])
        self.metrics, self.clock_ms, self.trained, self.trial = [], 0, 0, 0
        self.bucket.need(self.yaml["MODEL_METADATA_FILE_S3_KEY"])
        self.reward = self.load_reward(self.bucket.need(self.yaml["REWARD_FILE_S3_KEY"]))

    @staticmethod
    def load_reward(source):
        names = {}
        exec(source, names)
        return names["reward_function"]

    def run(self):
        self.bucket.wait(f"{self.prefix}/ip/done")
        address = json.loads(self.bucket.need(f"{self.prefix}/ip/ip.json"))["IP"]
        hyperparameters = json.loads(self.bucket.need(f"{self.prefix}/ip/hyperparameters.json"))
        self.episodes = int(hyperparameters["num_episodes_between_training"])
        if self.number >= min(self.workers, self.episodes):
            print("excess worker")
            return
        self.workers = min(self.workers, self.episodes)
        self.bucket.wait(f"{self.prefix}/model/.ready")
        self.link = socket.create_connection((address, REDIS_PORT))
        own = range(self.number, self.episodes, self.workers)
        checkpoint = self.bucket.need(f"{self.prefix}/model/.coach_checkpoint").decode()
        evaluated = []
        for iteration in range(math.ceil(int(hyperparameters["term_cond_max_episodes"]) / len(own))):
            if self.number == 0:
                self.judge(checkpoint, evaluated, is_first=iteration == 0)
            rows, self.trial = [], 0
            for index in own:
                steps = self.play("training", rows)
                self.link.sendall(f"{json.dumps([iteration, index, steps])}\n".encode())
            if self.number == 0:
                evaluated = [self.play("evaluation", rows) for _ in range(int(self.yaml["MIN_EVAL_TRIALS"]))]
            self.judged = checkpoint
            wanted = number_of(checkpoint) + 1
            while (found := self.newest()) is None or number_of(found) < wanted:
                time.sleep(PAUSE_S)
            checkpoint = found
            folder = self.prefix if self.workers == 1 else f"{self.prefix}/{self.number}"
            write_trace(self.bucket, f"{folder}/training-simtrace/{iteration}-iteration.csv", rows)
        print("Exited main loop. Done.", flush=True)

    def newest(self):
        if self.bucket.get(f"{self.prefix}/model/.lock") is not None:
            return None
        found = self.bucket.get(f"{self.prefix}/model/.coach_checkpoint")
        return found.decode() if found else None

    def judge(self, checkpoint, evaluated, *, is_first):
        mean = None if is_first else 40.0 + len(evaluated)
        name = checkpoint if is_first else self.judged
        record = {"name": name, "avg_eval_metric": mean, "time_stamp": self.clock_ms / 1000}
        index = {"best_checkpoint": record, "last_checkpoint": record}
        self.bucket.put(f"{self.prefix}/model/deepracer_checkpoints.json", json.dumps(index))
        print(f"[BestModelSelection] Evaluation episode progress mean: {mean}")

    def play(self, phase, rows):
        """Drive ten steps, of which the trace tells."""
        is_training = phase == "training"
        started = self.clock_ms
        for step in range(1, 11):
            reward = 0.0
            if step > 1:
                try:
                    reward = float(self.reward(params_of(step)))
                except Exception as error:
                    fail(f"reward function: {type(error).__name__}: {error}", "user_error")
            row = [self.trained, float(step), 1.0, 2.0, 3.0, 15, 0.6, 1, reward, step == 10, True, 4.0 * step, 1, 17.7]
            row += [self.clock_ms / 1000, "off_track" if step == 10 else "in_progress", 0.0, 0, time.time()]
            rows.append(row)
            if is_training:
                print(
                    "SIM_TRACE_LOG:%d,%d,%.4f,%.4f,%.4f,%.2f,%.2f,%s,%.4f,%s,%s,%.4f,%d,%.2f,%s,%s,%.2f,%d,%.4f"
                    % tuple(row)
                )
            self.clock_ms += 66
        time.sleep(PAUSE_S / 2)
        if is_training:
            self.trained += 1
            self.trial += 1
        entry = {"reward_score": 10, "metric_time": self.clock_ms, "start_time": started}
        entry |= {"elapsed_time_in_milliseconds": self.clock_ms - started, "episode": self.trained, "trial": self.trial}
        entry |= {"phase": phase, "completion_percentage": 40, "episode_status": "Off track"}
        self.metrics.append(entry)
        key = self.yaml["METRICS_S3_OBJECT_KEY"]
        if self.number:
            key = key.replace(".json", f"_{self.number}.json")
        document = {"metrics": self.metrics, "version": 2.0, "best_model_metric": self.yaml["BEST_MODEL_METRIC"]}
        self.bucket.put(key, json.dumps(document))
        return 10


def params_of(step):
    """Return some of what a reward function is called with; the files of the tests use no more."""
    return {
        "all_wheels_on_track": True,
        "track_width": 0.76,
        "distance_from_center": 0.1,
        "progress": 4.0 * step,
        "steps": float(step),
        "speed": 0.6,
    }


def write_trace(bucket, key, rows):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    writer.writerows(rows)
    bucket.put(key, text.getvalue())


def evaluate():
    check(os.environ, {"MODEL_S3_BUCKET", "MODEL_S3_PREFIX", "ROLLOUT_IDX"}, "the evaluation's environment")
    prefix, bucket = os.environ["MODEL_S3_PREFIX"], Bucket(os.environ["MODEL_S3_BUCKET"])
    found = read_yaml(bucket, prefix, EVALUATION_YAML)
    lists = {name: value for name, value in found.items() if isinstance(value, list) and value}
    if {len(value) for value in lists.values()} != {1}:
        fail(f"one car, but lists of {lists}")
    bucket.need(f"{prefix}/model/model_metadata.json")
    index = json.loads(bucket.need(f"{prefix}/model/deepracer_checkpoints.json"))
    name = index[f"{found['EVAL_CHECKPOINT']}_checkpoint"]["name"]
    bucket.put(f"{prefix}/model/.coach_checkpoint", name)
    bucket.need(f"{prefix}/model/{name}.index")
    print(f"Checkpoint> Restoring from path={name}")
    laps, rows, clock = [], [], 0
    for trial in range(1, int(found["NUMBER_OF_TRIALS"]) + 1):
        time.sleep(PAUSE_S)
        lap = {"completion_percentage": 100, "metric_time": clock + 20_000 + trial, "start_time": clock}
        lap |= {"elapsed_time_in_milliseconds": 20_000 + trial, "episode_status": "Lap complete", "crash_count": 0}
        lap |= {"immobilized_count": 0, "off_track_count": trial % 2, "reversed_count": 0, "reset_count": trial % 2}
        laps.append(lap | {"trial": trial})
        clock = lap["metric_time"]
        rows.append([trial - 1, 1.0, 1.0, 2.0, 3.0, 15, 0.6, 1, 1.0, True, True, 100.0, 1, 17.7, clock / 1000])
        rows[-1] += ["lap_complete", 0.0, 0, time.time()]
        if found["IS_CONTINUOUS"] == "False":
            put_laps(found, laps)
    put_laps(found, laps)
    write_trace(
        Bucket(found["SIMTRACE_S3_BUCKET"][0]),
        f"{found['SIMTRACE_S3_PREFIX'][0]}/evaluation-simtrace/0-iteration.csv",
        rows,
    )
    for camera in ("camera-pip", "camera-45degree", "camera-topview") if found["MP4_S3_BUCKET"] else ():
        bucket.put(f"{found['MP4_S3_OBJECT_PREFIX'][0]}/{camera}/0-video.mp4", b"stand-in")


def put_laps(found, laps):
    Bucket(found["METRICS_S3_BUCKET"][0]).put(found["METRICS_S3_OBJECT_KEY"][0], json.dumps({"metrics": laps}))


if __name__ == "__main__":
    {"trainer": train, "worker": work}[sys.argv[1]](sys.argv[2:])
