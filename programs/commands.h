/* commands.h - the entry point of each command. argv[0] is the command's name; the result is the exit code: 0 done,
 * 1 failed, 2 wrong use. Each understands --help. */
#ifndef LOOM_PROGRAMS_COMMANDS_H
#define LOOM_PROGRAMS_COMMANDS_H

int cmd_prepare(int argc, char **argv);
int cmd_tokenizer(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_race(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_merge(int argc, char **argv);
int cmd_privacy(int argc, char **argv);

#endif
