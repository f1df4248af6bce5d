// A Kubernetes control plane for tests, and the node agent, in one program built from the published modules.
//
// The first argument picks the part; what follows are that part's own flags, unchanged. One program because the
// five share nearly all of their code. With MYZEL_TEST_END_WITH_STDIN=1 a part ends when its standard input does:
// whoever started it holds the other end of the pipe, and nothing outlives it, killed or not.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var parts = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func main() {
	if len(os.Args) < 2 {
		fail("")
	}
	if os.Getenv("MYZEL_TEST_END_WITH_STDIN") == "1" {
		go endWithStdin()
	}
	// The part sees a command line of its own: its name, then its flags.
	os.Args = os.Args[1:]
	if os.Args[0] == "etcd" {
		etcdmain.Main(os.Args)
		return
	}
	command, known := parts[os.Args[0]]
	if !known {
		fail(os.Args[0])
	}
	os.Exit(cli.Run(command()))
}

func endWithStdin() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

func fail(name string) {
	fmt.Fprintf(os.Stderr, "%q is none of etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet\n", name)
	os.Exit(2)
}
